import OrderBook
import Primitives

/// The book hash, written down a second time: straight from its definition, out of the oracle's arrays.
extension Oracle {
  /// What `MatchingEngine.bookHash` must give.
  /// - Complexity: O(book, and client order ids in the window).
  package func bookHash() -> Hash256 {
    var root = Node(11)
    root.writer.writeFixed(UInt32(books.count))
    for book in books { root.writer.write(node(book)) }
    root.writer.write(idsNode)
    root.writer.write(stonesNode)
    return root.hash
  }

  private func node(_ book: Book) -> Hash256 {
    var node = Node(5)
    let symbol = book.instrument.symbol.utf8
    node.put(book.dot)
    node.writer.write(symbol + [UInt8](repeating: 0, count: 16 - symbol.count))
    for increment in [book.instrument.tick, book.instrument.lot] {
      node.writer.writeFixed(increment.mantissa)
      node.writer.write(increment.scale)
    }
    node.writer.writeFixed(book.lastTrade ?? 0)
    for side in Side.allCases {
      node.writer.write(sideNode(side.rawValue, book.resting[side.int].map { ($0, $0.priceTicks, nil) }))
    }
    for side in Side.allCases {
      let stops = book.stops[side.int].map { ($0.order, $0.order.stopPriceTicks, $0.key as OrderKey?) }
      node.writer.write(stops.isEmpty ? .zero : sideNode(side.rawValue + 2, stops))
    }
    return node.hash
  }

  /// An order, the price of its level, and its time key if it waits.
  private typealias Placed = (order: RestingOrder, level: Int64, key: OrderKey?)

  /// Of orders in which those of a level stand together, oldest first.
  private func sideNode(_ number: UInt8, _ orders: [Placed]) -> Hash256 {
    var queues: [[Placed]] = []
    for order in orders {
      if queues.last?[0].level != order.level { queues.append([]) }
      queues[queues.count - 1].append(order)
    }
    let levels = queues.map { (price: UInt64($0[0].level), hash: levelNode($0)) }.sorted { $0.price < $1.price }
    var node = Node(4)
    node.writer.write(number)
    node.writer.writeFixed(UInt64(levels.count))
    node.writer.write(Self.trieNode(levels, tier: 31) ?? .zero)
    return node.hash
  }

  /// One tier at a time, every digit: a node with one child is that child, and so one level is its own top node.
  private static func trieNode(_ levels: [(price: UInt64, hash: Hash256)], tier: Int) -> Hash256? {
    if levels.count < 2 { return levels.first?.hash }
    var bitmap: UInt8 = 0
    var children: [Hash256] = []
    for digit in UInt64(0)..<4 {
      let below = levels.filter { $0.price >> UInt64(2 * tier) & 3 == digit }
      guard let child = trieNode(below, tier: tier - 1) else { continue }
      bitmap |= 1 << UInt8(digit)
      children.append(child)
    }
    if children.count == 1 { return children[0] }
    var node = Node(3)
    node.writer.write([UInt8(tier), bitmap])
    for child in children { node.writer.write(child) }
    return node.hash
  }

  private func levelNode(_ queue: [Placed]) -> Hash256 {
    let blocks = Self.blocks(queue[...], tag: 1, dot: \.order.dot) { put($0.order, $0.key, &$1) }
    var node = Node(2)
    node.writer.writeFixed(queue[0].level)
    node.writer.writeFixed(UInt64(queue.count))
    node.writer.writeFixed(queue.reduce(UInt128(0)) { $0 + UInt128($1.order.openLots) })
    node.put(blocks)
    return node.hash
  }

  private func put(_ order: RestingOrder, _ key: OrderKey?, _ node: inout Node) {
    // While it is open, no other order can take its names.
    let names = names(of: order.dot)
    let others = names.dropFirst().reversed()
    var flags = Self.flags(
      order.side, order.postOnly, order.timeInForce, order.type, order.selfTradePrevention)
    if order.displayLots != 0 { flags += 512 }
    if key != nil { flags += 1024 }
    if !names.isEmpty { flags += 2048 }
    if !others.isEmpty { flags += 4096 }
    node.put(order.dot)
    node.writer.writeFixed(order.account.value)
    node.writer.writeFixed(order.openLots)
    node.writer.writeFixed(order.filledLots)
    node.writer.writeFixed(flags)
    if order.displayLots != 0 {
      node.writer.writeFixed(order.displayLots)
      node.writer.writeFixed(order.visibleLots)
    }
    if order.timeInForce == .goodTillDate { node.writer.writeFixed(order.expiry.value) }
    if let key {
      node.writer.writeFixed(order.priceTicks)
      node.writer.writeFixed(key.stamp.value)
      node.writer.writeFixed(key.origin.value)
    }
    if let first = names.first {
      node.put(first.name)
      node.writer.writeFixed(Self.fingerprint(first.content))
    }
    if !others.isEmpty { node.writer.writeFixed(UInt32(others.count)) }
    for other in others { if case .dot(let dot) = other.name { node.put(dot) } }
  }

  private static func flags(
    _ side: Side, _ postOnly: Bool, _ timeInForce: TimeInForce, _ type: OrderType, _ mode: SelfTradePrevention
  ) -> UInt16 {
    var flags: UInt16 = side == .sell ? 1 : 0
    if postOnly { flags += 2 }
    flags += 4 * UInt16(timeInForce.rawValue)
    flags += 16 * UInt16(type.rawValue)
    flags += 64 * UInt16(mode.rawValue)
    return flags
  }

  /// Tells orders that were sent under one id from each other: every field goes into it but the client's time.
  private static func fingerprint(_ order: Order) -> UInt64 {
    let flags = flags(order.side, order.postOnly, order.timeInForce, order.type, order.selfTradePrevention)
    var fields = [
      order.instrument.sequence, UInt64(order.instrument.origin.value), order.account.value, UInt64(flags),
      UInt64(bitPattern: order.priceTicks), UInt64(bitPattern: order.quantityLots),
    ]
    if order.stopPriceTicks != 0 || order.displayLots != 0 || order.expiry != .zero {
      fields.append(UInt64(bitPattern: order.stopPriceTicks))
      fields.append(UInt64(bitPattern: order.displayLots))
      fields.append(order.expiry.value)
    }
    return fields.reduce(0) { mix($0 &* 0x9E37_79B9_7F4A_7C15 &+ $1 &+ 1) }
  }

  /// The finaliser of SplitMix64.
  private static func mix(_ value: UInt64) -> UInt64 {
    let first = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    let second = (first ^ first >> 27) &* 0x94D0_49BB_1331_11EB
    return second ^ second >> 31
  }

  private var idsNode: Hash256 {
    let window = taken.suffix(idsMax).drop { $0.second + 600 < second }
    // Taken in the order of their keys, those of a second stand together.
    var seconds: [ArraySlice<Taken>] = []
    var rest = window
    while let first = rest.first {
      let records = rest.prefix { $0.second == first.second }
      seconds.append(records)
      rest = rest.dropFirst(records.count)
    }
    var node = Node(8)
    node.writer.writeFixed(UInt64(window.count))
    node.writer.writeFixed(UInt32(seconds.count))
    for records in seconds {
      var bucket = Node(7)
      bucket.writer.writeFixed(records[records.startIndex].second)
      bucket.writer.writeFixed(UInt64(records.count))
      bucket.put(
        Self.blocks(records, tag: 6, dot: \.dot) { record, node in
          node.put(record.dot)
          node.writer.writeFixed(record.content.account.value)
          node.writer.writeFixed(Self.fingerprint(record.content))
          node.put(record.name)
        })
      node.writer.write(bucket.hash)
    }
    return node.hash
  }

  private var stonesNode: Hash256 {
    var node = Node(10)
    node.writer.writeFixed(UInt64(stones.count))
    let blocks = stride(from: 0, to: stones.count, by: 64).map { start in
      let run = stones[start..<min(start + 64, stones.count)]
      var block = Node(9)
      block.writer.writeFixed(UInt32(run.count))
      for stone in run {
        block.writer.writeFixed(stone.second)
        block.writer.writeFixed(stone.account.value)
        switch stone.target {
        case .dot(let dot):
          block.put(dot)
          block.put(ClientOrderID.none)
        case .client(let id):
          block.put(Dot.none)
          block.put(id)
        }
      }
      return block.hash
    }
    node.put(blocks)
    return node.hash
  }

  private static func blocks<T>(
    _ items: ArraySlice<T>, tag: UInt8, dot: (T) -> Dot, put: (T, inout Node) -> Void
  ) -> [Hash256] {
    var out: [Hash256] = []
    var start = items.startIndex
    for index in items.indices {
      let count = index + 1 - start
      let isLast = index + 1 == items.endIndex
      if !isLast && count < 64 && !endsBlock(dot(items[index])) { continue }
      var node = Node(tag)
      node.writer.writeFixed(UInt32(count))
      for item in items[start...index] { put(item, &node) }
      out.append(node.hash)
      start = index + 1
    }
    return out
  }

  private static func endsBlock(_ dot: Dot) -> Bool {
    mix(dot.sequence &+ UInt64(dot.origin.value) &* 0x9E37_79B9_7F4A_7C15) % 16 == 0
  }
}

private struct Node {
  var writer = ByteWriter()
  init(_ tag: UInt8) { writer.write(tag) }

  mutating func put(_ dot: Dot) {
    writer.writeFixed(dot.sequence)
    writer.writeFixed(dot.origin.value)
  }

  mutating func put(_ hashes: [Hash256]) {
    writer.writeFixed(UInt32(hashes.count))
    for hash in hashes { writer.write(hash) }
  }

  /// A name of an order.
  mutating func put(_ name: OrderReference) {
    switch name {
    case .client(let id): put(id)
    case .dot(let dot):
      writer.write(3)
      put(dot)
    }
  }

  mutating func put(_ id: ClientOrderID) {
    writer.write(id.kind.rawValue)
    switch id.kind {
    case .none: break
    case .integer: writer.writeFixed(id.integer ?? 0)
    case .text:
      writer.write(UInt8(id.utf8.count))
      writer.write(id.utf8)
    }
  }

  var hash: Hash256 { SHA256().hash(writer.bytes) }
}
