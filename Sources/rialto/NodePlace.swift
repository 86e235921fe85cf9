import EventLog
import Forensics
import Foundation
import Membership
import Node
import OrderBook
import Primitives

/// A node's directory on the command line.
enum NodePlace {
  /// Whether an argument names a directory, as against a file or an address.
  static func isDirectory(_ path: String) -> Bool {
    var isDirectory: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) && isDirectory.boolValue
  }

  /// The member list: the one that was given, else beside the node's file, else above it.
  static func genesis(_ given: String?, near directory: String) throws -> Genesis? {
    if let given { return try GenesisFile.load(given) }
    for path in [directory + "/genesis.json", directory + "/../genesis.json"]
    where FileManager.default.fileExists(atPath: path) {
      return try GenesisFile.load(path)
    }
    return nil
  }

  /// Opens a node's file to look at.
  static func open(_ directory: String, genesis given: String?) throws -> NodeFile {
    guard isDirectory(directory) else {
      throw CommandError("\(directory) is no directory", advice: "give the data directory of a node")
    }
    do {
      return try NodeFile(directory, genesis: try genesis(given, near: directory))
    } catch let error as CannotTell {
      throw CommandError(error.description)
    }
  }
}

/// A place in a history: `final`, a stamp, stamp and origin, an entry, or a time.
enum EntryPlace: Hashable {
  case final
  case key(OrderKey)
  case entry(Dot)

  /// - Returns: nil if it is none of them.
  init?(_ text: String) {
    if text == "final" {
      self = .final
    } else if let dot = Dot(text) {
      self = .entry(dot)
    } else if let at = text.firstIndex(of: "@") {
      guard let stamp = Stamp(argument: String(text[..<at])), let origin = UInt32(text[text.index(after: at)...]) else {
        return nil
      }
      self = .key(OrderKey(stamp: stamp, origin: OriginIndex(origin)))
    } else if let stamp = Stamp(argument: text) {
      self = .key(OrderKey(stamp: stamp, origin: OriginIndex(.max)))
    } else if let milliseconds = Self.milliseconds(text) {
      self = .key(OrderKey(stamp: Stamp(milliseconds: milliseconds, counter: .max), origin: OriginIndex(.max)))
    } else {
      return nil
    }
  }

  /// Of an ISO time such as `2026-11-21T22:19:07Z`, with or without a fraction.
  private static func milliseconds(_ text: String) -> UInt64? {
    let formatter = ISO8601DateFormatter()
    for options in [[.withInternetDateTime], [.withInternetDateTime, .withFractionalSeconds]]
      as [ISO8601DateFormatter.Options]
    {
      formatter.formatOptions = options
      guard let date = formatter.date(from: text), date.timeIntervalSince1970 >= 0 else { continue }
      let milliseconds = UInt64((date.timeIntervalSince1970 * 1_000).rounded())
      return milliseconds < 1 << 48 ? milliseconds : nil
    }
    return nil
  }

  static let advice =
    "give 'final', a stamp (1795287243123.4), stamp@origin, an entry (2-1841) or a time "
    + "(2026-11-21T22:19:07Z)"

  /// - Throws: for an entry that the file does not have.
  func key(in file: NodeFile) throws -> OrderKey {
    switch self {
    case .final:
      return max(OrderKey(stamp: try file.finalStamp(), origin: OriginIndex(.max)), file.store.auditPosition)
    case .key(let key): return key
    case .entry(let dot):
      guard let entry = try file.entry(dot) else { throw CommandError("entry \(dot) is not in this log") }
      return OrderKey(stamp: entry.stamp, origin: dot.origin)
    }
  }
}

/// Lines on stdout, many at once; ends the command well when nobody reads any more.
final class LineStream {
  private static let bytesMax = 64 * 1024
  private var buffer: [UInt8] = []

  init() { signal(SIGPIPE, SIG_IGN) }

  func write(_ line: String) throws {
    buffer.append(contentsOf: line.utf8)
    buffer.append(UInt8(ascii: "\n"))
    if buffer.count >= Self.bytesMax { try flush() }
  }

  func flush() throws {
    defer { buffer.removeAll(keepingCapacity: true) }
    do {
      try Files.writeToStdout(buffer)
    } catch {
      if errno == EPIPE { throw CleanEnd() }
      throw error
    }
  }

  /// Nobody reads any more.
  struct CleanEnd: Error {}
}
