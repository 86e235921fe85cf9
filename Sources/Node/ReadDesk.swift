import Client
import NIOCore
import Primitives
import Replica

/// Reads that wait: for a stamp to become final, or for their turn at the book without its tentative tail.
struct ReadDesk {
  /// Of either kind; further ones are refused.
  static let waitingMax = 4_096
  /// Looks at the final book rest for so many times as long as the last one took.
  static let restFactor: Int64 = 9

  struct Read {
    let session: SessionID
    let number: UInt64
    let query: ClientQuery
  }

  /// Ascending by stamp.
  private var waiting: [(read: Read, stamp: Stamp, deadline: NIODeadline)] = []
  private(set) var ofBook: [Read] = []
  private(set) var nextLook = NIODeadline.now()

  var isEmpty: Bool { waiting.isEmpty && ofBook.isEmpty }
  var count: Int { waiting.count + ofBook.count }

  /// - Returns: false if too many wait.
  mutating func wait(_ read: Read, for stamp: Stamp, until deadline: NIODeadline) -> Bool {
    guard waiting.count < Self.waitingMax else { return false }
    let place = waiting.firstIndex { $0.stamp > stamp } ?? waiting.count
    waiting.insert((read, stamp, deadline), at: place)
    return true
  }

  /// - Returns: false if too many wait.
  mutating func add(ofBook read: Read) -> Bool {
    guard ofBook.count < Self.waitingMax else { return false }
    ofBook.append(read)
    return true
  }

  mutating func takeReached(_ stamp: Stamp) -> [Read] {
    let end = waiting.firstIndex { $0.stamp > stamp } ?? waiting.count
    defer { waiting.removeFirst(end) }
    return waiting[..<end].map(\.read)
  }

  mutating func takeLate(_ now: NIODeadline) -> [(Read, Stamp)] {
    guard waiting.contains(where: { $0.deadline <= now }) else { return [] }
    let late = waiting.filter { $0.deadline <= now }
    waiting.removeAll { $0.deadline <= now }
    return late.map { ($0.read, $0.stamp) }
  }

  mutating func takeOfBook() -> [Read] {
    defer { ofBook.removeAll(keepingCapacity: true) }
    return ofBook
  }

  mutating func looked(from start: NIODeadline, to end: NIODeadline) {
    nextLook = end + .nanoseconds((end - start).nanoseconds * Self.restFactor)
  }

  mutating func close(_ session: SessionID) {
    waiting.removeAll { $0.read.session == session }
    ofBook.removeAll { $0.session == session }
  }
}
