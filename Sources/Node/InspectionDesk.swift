import Client
import Diagnostics
import Membership
import NIOCore
import NIOPosix
import Primitives
import Replica
import Storage

/// Books that are held for those who compare this node with another one, and those that are waited for.
struct InspectionDesk {
  /// Books held at once; the oldest makes room.
  static let booksMax = 8
  /// A book is held this long.
  static let holdMilliseconds: Int64 = 30_000
  /// What becomes final later than this was asked for too early.
  static let waitMilliseconds: Int64 = 2_000

  struct Waiting {
    var book: UInt64
    var session: SessionID
    var number: UInt64
    var deadline: NIODeadline
  }

  private var held: [(capture: BookCapture, until: NIODeadline)] = []
  private(set) var waiting: [Waiting] = []
  private var newest: UInt64 = 0

  mutating func nextBook() -> UInt64 {
    newest += 1
    return newest
  }

  mutating func wait(_ entry: Waiting) { waiting.append(entry) }

  mutating func take(_ book: UInt64) -> Waiting? {
    guard let place = waiting.firstIndex(where: { $0.book == book }) else { return nil }
    return waiting.remove(at: place)
  }

  /// Those that nobody waits for any longer.
  mutating func takeLate(_ now: NIODeadline) -> [Waiting] {
    guard waiting.contains(where: { $0.deadline <= now }) else { return [] }
    let late = waiting.filter { $0.deadline <= now }
    waiting.removeAll { $0.deadline <= now }
    return late
  }

  mutating func hold(_ capture: BookCapture) {
    let now = NIODeadline.now()
    held.removeAll { $0.until <= now }
    if held.count == Self.booksMax { held.removeFirst() }
    held.append((capture, now + .milliseconds(Self.holdMilliseconds)))
  }

  func book(_ id: UInt64) -> BookCapture? { held.first { $0.capture.summary.id == id }?.capture }
}
