import HeapModule
import Replica

/// What is to happen, in order of virtual time; equal times in the order in which they were scheduled.
struct EventQueue {
  private struct Key: Comparable {
    var at: UInt64
    var number: UInt64
    var slot: Int
    static func < (left: Key, right: Key) -> Bool {
      left.at == right.at ? left.number < right.number : left.at < right.at
    }
  }

  private var heap = Heap<Key>()
  private var slots: [WorldEvent] = []
  private var free: [Int] = []
  private var scheduled: UInt64 = 0

  var count: Int { heap.count }
  var nextTime: UInt64? { heap.min?.at }

  mutating func schedule(_ event: WorldEvent, at: UInt64) {
    scheduled += 1
    let slot: Int
    if let reused = free.popLast() {
      slot = reused
      slots[slot] = event
    } else {
      slot = slots.count
      slots.append(event)
    }
    heap.insert(Key(at: at, number: scheduled, slot: slot))
  }

  mutating func popFirst() -> (at: UInt64, event: WorldEvent)? {
    guard let key = heap.popMin() else { return nil }
    let event = slots[key.slot]
    slots[key.slot] = .none
    free.append(key.slot)
    return (key.at, event)
  }
}

/// Something that happens in the simulated world. `boot` names a run of a process: what was meant for an earlier one is
/// dropped.
enum WorldEvent {
  case none
  /// A message comes out of a connection.
  case delivery(connection: Int, from: Int, to: Int, type: UInt8, bytes: [UInt8])
  /// The end of what a process does in one go.
  case turn(node: Int, boot: UInt64)
  case tick(node: Int, boot: UInt64)
  case synced(node: Int, boot: UInt64)
  case dialled(node: Int, boot: UInt64, target: Int, address: String)
  case dialFailed(node: Int, boot: UInt64, address: String, isRefused: Bool)
  /// One end of a connection learns that it is gone.
  case closed(connection: Int, node: Int)
  case start(node: Int)
  case burst
  case request(node: Int, submission: Int)
  case answerDue(submission: Int)
  case faultBegins(Int)
  case faultEnds(Int)
  case sample
  /// A piece of a log that a process wanted is read.
  case logRead(node: Int, boot: UInt64, LogReading)
}
