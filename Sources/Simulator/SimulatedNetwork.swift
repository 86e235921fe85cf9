import Primitives

/// One connection of two processes. Each end has its own opinion of whether it is open.
final class SimulatedConnection {
  struct Message {
    var type: UInt8
    var bytes: [UInt8]
  }

  /// One of the two ends: the process there, and what is under way to it.
  struct End {
    let node: Int
    var isOpen = true
    /// Last arrival: a stream keeps the order.
    var lastArrival: UInt64 = 0
    /// What waits while the path is cut: a stream sends it again and again.
    var stalled: [Message] = []
    var bytesUnderWay = 0
  }

  let number: Int
  var dialler: End
  var listener: End

  init(number: Int, dialler: Int, listener: Int) {
    self.number = number
    self.dialler = End(node: dialler)
    self.listener = End(node: listener)
  }

  /// The end at `node`.
  subscript(_ node: Int) -> End {
    @inline(__always) _read { if dialler.node == node { yield dialler } else { yield listener } }
    @inline(__always) _modify { if dialler.node == node { yield &dialler } else { yield &listener } }
  }

  func peer(of node: Int) -> Int { dialler.node == node ? listener.node : dialler.node }
}

/// Which machines hear each other now.
struct SimulatedNetwork {
  let count: Int
  private(set) var connections: [SimulatedConnection] = []
  /// How many faults cut the direction from the row to the column now.
  private var cuts: [[Int]]

  init(count: Int) {
    self.count = count
    cuts = Array(repeating: Array(repeating: 0, count: count), count: count)
  }

  func hears(from: Int, to: Int) -> Bool { cuts[from][to] == 0 }

  mutating func cut(from: Int, to: Int) { cuts[from][to] += 1 }
  mutating func mend(from: Int, to: Int) { cuts[from][to] = max(0, cuts[from][to] - 1) }
  mutating func mendAll() { cuts = Array(repeating: Array(repeating: 0, count: count), count: count) }

  mutating func connect(dialler: Int, listener: Int) -> SimulatedConnection {
    let connection = SimulatedConnection(number: connections.count, dialler: dialler, listener: listener)
    connections.append(connection)
    return connection
  }
}
