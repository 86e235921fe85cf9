import Primitives

/// What is measured, in the order of an operation's way.
public enum PipelineStage: String, Sendable, CaseIterable {
  case encode
  case chain
  case decode
  case apply
  case rollback
  case bookHash = "book_hash"
  case replica

  var explanation: String {
    switch self {
    case .encode: "into batches of \(Pipeline.batchEntries)"
    case .chain: "SHA-256 over the batches"
    case .decode: "out of the batches"
    case .apply: "to the book, journal on"
    case .rollback: "of each batch, and apply it again"
    case .bookHash: "after each \(Pipeline.batchEntries) operations"
    case .replica: "submit to final, one member: all but the rollback"
    }
  }
}

/// Figures of one run. Everything but the times follows from number and seed alone.
public struct PipelineReport: Sendable {
  public let operations: Int
  public let seed: UInt64
  public internal(set) var batches = 0
  public internal(set) var bytes = 0
  public internal(set) var fills = 0
  public internal(set) var restingOrders = 0
  public internal(set) var chainHash = Hash256.zero
  /// Of the book after the last operation: the result that no compiler can do without.
  public internal(set) var bookHash = Hash256.zero
  /// CPU time of each stage over all operations.
  public private(set) var stages: [(stage: PipelineStage, nanoseconds: UInt64)] = []

  init(operations: Int, seed: UInt64) {
    self.operations = operations
    self.seed = seed
  }

  mutating func add(_ stage: PipelineStage, _ nanoseconds: UInt64) { stages.append((stage, nanoseconds)) }

  /// For people.
  public var table: [String] {
    var lines = ["stage      ns/operation  M operations/s"]
    for (stage, nanoseconds) in stages {
      let name = padded(stage.rawValue, 9, isLeft: true)
      let cost = padded(tenths(nanoseconds, by: operations), 14)
      lines.append("\(name)\(cost)\(padded(rate(nanoseconds), 16))  \(stage.explanation)")
    }
    lines.append("")
    lines.append("\(operations) operations, seed \(seed): \(tenths(UInt64(bytes), by: operations)) bytes each")
    lines.append("\(fills) fills, \(restingOrders) orders rest, book hash \(bookHash)")
    return lines
  }

  /// For programs: one object on one line.
  public var json: String {
    var members = ["\"operations\":\(operations)", "\"seed\":\(seed)"]
    for (stage, nanoseconds) in stages {
      members.append("\"\(stage.rawValue)_ns\":\(tenths(nanoseconds, by: operations))")
    }
    members += ["\"batches\":\(batches)", "\"bytes\":\(bytes)", "\"fills\":\(fills)"]
    members.append("\"resting_orders\":\(restingOrders)")
    members += ["\"chain_hash\":\"\(chainHash)\"", "\"book_hash\":\"\(bookHash)\""]
    return "{" + members.joined(separator: ",") + "}"
  }

  /// Millions of operations a second, with one decimal.
  private func rate(_ nanoseconds: UInt64) -> String {
    tenths(UInt64(operations) * 1_000, by: Int(max(1, nanoseconds)))
  }

  private func tenths(_ total: UInt64, by count: Int) -> String {
    let value = (total * 10 + UInt64(count) / 2) / UInt64(count)
    return "\(value / 10).\(value % 10)"
  }

  private func padded(_ text: String, _ width: Int, isLeft: Bool = false) -> String {
    let padding = String(repeating: " ", count: max(0, width - text.count))
    return isLeft ? text + padding : padding + text
  }
}
