import Diagnostics
import EventLog
import Forensics
import Primitives

extension FileFault {
  /// What a comparison should have said of this fault, with the damaged copy on the right, and did not.
  /// - Returns: nil if it named the place and the cause.
  public func disagreement(with found: Divergence) -> String? {
    let second = stamp.map { Checkpoint.number(closing: $0) }
    var wrong: [String] = []
    func expect<Value: Equatable>(_ value: Value, _ expected: Value, _ what: String) {
      if value != expected { wrong.append("\(what) is \(value), not \(expected)") }
    }
    expect(found.verdict, .divergent, "the verdict")
    switch kind {
    case .bitflipLog:
      expect(found.cause, .altered, "the cause")
      expect(found.culprit, .right, "the culprit")
      expect(found.checkpoint, second, "the checkpoint")
      expect(found.entry?.dot.origin, origin, "the origin")
      let isThere = found.entry.map { ((first ?? 0)...(last ?? 0)).contains($0.dot.sequence) }
      expect(isThere, true, "that the entry lies in the batch")
    case .dropEntry:
      expect(found.cause, .missing, "the cause")
      expect(found.culprit, .right, "the culprit")
      expect(found.checkpoint, second, "the checkpoint")
      expect(found.entry?.dot, origin.map { Dot(origin: $0, sequence: first ?? 0) }, "the entry")
    case .alterEntry:
      expect(found.cause, .altered, "the cause")
      expect(found.culprit, .right, "the culprit")
      expect(found.checkpoint, second, "the checkpoint")
      expect(found.entry?.dot, entry, "the entry")
    case .equivocate:
      expect(found.cause, .equivocation, "the cause")
      expect(found.culprit, .author, "the culprit")
      expect(found.checkpoint, second, "the checkpoint")
      expect(found.entry?.dot, entry, "the entry")
    case .skipFill:
      expect(found.cause, .missing, "the cause")
      expect(found.culprit, .right, "the culprit")
      expect(found.checkpoint, second, "the checkpoint")
      // Of fills that are alike in a row nobody can say which one is gone.
      let isTwin = found.fill.map { $0.number > fill ?? .max && $0.fills.left.map(Self.text) == before } ?? false
      if !isTwin { expect(found.fill?.number, fill, "the fill") }
    case .bitflipBook, .bitflipOrders:
      expect(found.cause, .sameLog, "the cause")
      expect(found.order, order, "the order")
    }
    return wrong.isEmpty ? nil : wrong.joined(separator: "; ")
  }

  /// As `before` has it.
  private static func text(_ fill: StoredFill) -> String {
    "\(fill.maker) with \(fill.taker), \(fill.quantityLots) at \(fill.priceTicks)"
  }
}
