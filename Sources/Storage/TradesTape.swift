import GRDB
import Primitives

/// The hash of all trades so far, ready to go on.
struct TradesTape {
  /// Holds the state after fill `number`. Made at the first use.
  var state: SHA256?
  var number: UInt64 = 0
}

extension Store {
  /// SHA-256 over `maker,taker,price,quantity\n` of all fills in the order of execution, and how many there are.
  ///
  /// Maker and taker are client order ids, or `origin-sequence` where an order has none; price in ticks, quantity in
  /// lots. Two nodes, or a node and an independent matcher, that agree on it agree on every trade.
  ///
  /// The computation is remembered: a second call reads only fills that are new.
  /// - Complexity: O(new fills × log orders).
  public func tradesHash() throws(StoreError) -> (hash: Hash256, fills: UInt64) {
    let state = tape.state ?? startTape()
    try perform { database in
      let row = try statement(
        database,
        """
        SELECT f.number, f.maker, f.taker, f.price, f.quantity, m.client_order_id, t.client_order_id
        FROM fills f LEFT JOIN orders m ON m.dot = f.maker LEFT JOIN orders t ON t.dot = f.taker
        WHERE f.number > ? ORDER BY f.number
        """)
      defer { row.reset() }
      row.bind(1, bits: tape.number)
      var line: [UInt8] = []
      var last = tape.number
      // Also when a step fails: what went into the hash is counted.
      defer { tape.number = last }
      while try row.step() {
        appendName(row, dot: 1, clientOrderID: 5, to: &line)
        line.append(UInt8(ascii: ","))
        appendName(row, dot: 2, clientOrderID: 6, to: &line)
        line.append(UInt8(ascii: ","))
        line.appendDecimal(row.int(3))
        line.append(UInt8(ascii: ","))
        line.appendDecimal(row.int(4))
        line.append(UInt8(ascii: "\n"))
        state.update(line)
        line.removeAll(keepingCapacity: true)
        last = row.bits(0)
      }
    }
    return (state.valueSoFar(), tape.number)
  }

  private func startTape() -> SHA256 {
    let state = SHA256()
    state.begin()
    tape = TradesTape(state: state, number: 0)
    return state
  }

  private func appendName(_ row: StoreStatement, dot: CInt, clientOrderID: CInt, to line: inout [UInt8]) {
    if row.isNull(clientOrderID) {
      line.appendDecimal(row.int(dot) / AuditDot.originFactor)
      line.append(UInt8(ascii: "-"))
      line.appendDecimal(row.int(dot) % AuditDot.originFactor)
    } else if row.isInteger(clientOrderID) {
      line.appendDecimal(row.int(clientOrderID))
    } else {
      line.append(contentsOf: row.raw(clientOrderID))
    }
  }
}

extension [UInt8] {
  /// Decimal digits, without a `String` between: this runs four times a fill.
  mutating func appendDecimal(_ value: Int64) {
    if value < 0 { append(UInt8(ascii: "-")) }
    let start = count
    var rest = value.magnitude
    repeat {
      append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
      rest /= 10
    } while rest > 0
    self[start...].reverse()
  }
}
