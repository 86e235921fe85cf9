import EventLog
import OrderBook
import Primitives

/// The first level and order in which the books of two replicas differ that have the same history.
extension DivergenceSearch {
  private static let levelsMax = 64

  /// Two books that may be compared.
  private struct Pair {
    var point: BookPoint
    var left: BookSummary
    var right: BookSummary
  }

  /// - Returns: whether a difference was found.
  mutating func searchBooks(_ range: Range) async throws -> Bool {
    for point in bookPoints() {
      guard let pair = try await capture(point, levels: []) else {
        if divergence.book != nil { return true }
        continue
      }
      if pair.left.isSame(as: pair.right) { continue }
      try await compare(pair)
      return true
    }
    return false
  }

  private var hashing: BookHashing { isDeep ? .raw : .rawIfSmall }

  private func bookPoints() -> [BookPoint] {
    guard isDeep else { return [.now] }
    // A node that runs is not kept waiting by what only its file says.
    let isRunning = divergence.left.isRunning || divergence.right.isRunning
    if isRunning { return [.now] }
    var points: [BookPoint] = []
    for number in divergence.left.snapshots where divergence.right.snapshots.contains(number) {
      points.append(.snapshot(number))
    }
    if divergence.left.tables == divergence.right.tables { points.append(.tables) }
    if points.isEmpty { points.append(.now) }
    return points
  }

  /// Asks both for the book at one point; of two that run, at one that neither has passed.
  private mutating func capture(_ wanted: BookPoint, levels: [LevelName]) async throws -> Pair? {
    var point = wanted
    var lead = options.leadMilliseconds
    for _ in 0..<options.attemptsMax {
      let (mine, theirs) = try await ask(.book(point, hashing, levels: levels))
      if case .book(let left) = mine, case .book(let right) = theirs {
        if left.finalVector == right.finalVector { return Pair(point: point, left: left, right: right) }
        point = .at(Stamp(milliseconds: max(left.stamp, right.stamp).milliseconds + lead))
      } else if wanted == .now, divergence.left.isRunning, divergence.right.isRunning {
        // One was there already, or was not in time.
        let (first, second) = try await ask(.overview)
        guard case .overview(let left) = first, case .overview(let right) = second else { break }
        lead *= 2
        point = .at(Stamp(milliseconds: max(left.finalStamp, right.finalStamp).milliseconds + lead))
      } else {
        divergence.remarks.append("books cannot be compared: \(Self.reasons(mine, theirs))")
        if case .snapshot = wanted { noteUnreadable(wanted, mine, theirs) }
        return nil
      }
      guard wanted == .now, divergence.left.isRunning, divergence.right.isRunning else { break }
    }
    if wanted == .now {
      divergence.remarks.append(
        "\(left.label) and \(right.label) were at no time found at one point of the history: books were not compared")
    }
    return nil
  }

  /// Both have a snapshot of one number, and one of the two cannot be read.
  private mutating func noteUnreadable(_ point: BookPoint, _ mine: Answer, _ theirs: Answer) {
    var roots = Divergence.Pair<Hash256>(nil, nil)
    if case .book(let summary) = mine { roots.left = summary.root }
    if case .book(let summary) = theirs { roots.right = summary.root }
    guard (roots.left == nil) != (roots.right == nil) else { return }
    divergence.verdict = .divergent
    divergence.cause = .sameLog
    divergence.culprit = roots.left == nil ? .left : .right
    divergence.checkpoint = divergence.differing?.left?.number
    if case .snapshot(let number) = point { divergence.checkpoint = number }
    divergence.book = Divergence.BookDifference(
      point: point, roots: roots, levels: Divergence.Pair(nil, nil), orders: Divergence.Pair(nil, nil),
      other: "a snapshot that cannot be read")
  }

  private mutating func compare(_ pair: Pair) async throws {
    divergence.verdict = .divergent
    divergence.cause = .sameLog
    divergence.checkpoint = divergence.differing?.left?.number ?? Checkpoint.number(closing: pair.left.stamp)
    var difference = Divergence.BookDifference(
      point: pair.point, roots: Divergence.Pair(pair.left.root, pair.right.root), levels: Divergence.Pair(nil, nil),
      orders: Divergence.Pair(nil, nil))
    let found = try await differingLevels(pair)
    difference.otherLevels = max(0, found.count - 1)
    if found.isEmpty { difference.other = otherDifference(pair) }
    divergence.book = difference
    guard !found.isEmpty else { return }
    try await compareOrders(found, pair)
  }

  private func otherDifference(_ pair: Pair) -> String {
    if pair.left.books.map(\.instrument) != pair.right.books.map(\.instrument) { return "the instruments" }
    if let (one, other) = zip(pair.left.books, pair.right.books).first(where: { $0.lastTradeTicks != $1.lastTradeTicks }
    ) {
      return
        "the last trade price of instrument \(one.instrument): \(one.lastTradeTicks) and \(other.lastTradeTicks) ticks"
    }
    if pair.left.ids != pair.right.ids { return "the client order ids that are remembered" }
    if pair.left.stones != pair.right.stones { return "the cancels that wait for their orders" }
    return "what is kept of hashes: the orders themselves are the same"
  }

  // MARK: Levels

  private mutating func differingLevels(_ pair: Pair) async throws -> [LevelName] {
    var found: [LevelName] = []
    let named = Set(pair.left.books.map(\.instrument) + pair.right.books.map(\.instrument)).sorted()
    for instrument in named where found.count < Self.levelsMax {
      let one = pair.left.books.first { $0.instrument == instrument }
      let other = pair.right.books.first { $0.instrument == instrument }
      if one == other { continue }
      let first = try await ask(left, .queues(book: pair.left.id, instrument: instrument))
      let second = try await ask(right, .queues(book: pair.right.id, instrument: instrument))
      guard case .queues(let mine) = first, case .queues(let theirs) = second else {
        divergence.remarks.append("a book's queues cannot be compared: \(Self.reasons(first, second))")
        return found
      }
      for kind in BookQueue.allCases {
        guard let left = Self.range(of: kind, mine), let right = Self.range(of: kind, theirs), left != right else {
          continue
        }
        try await narrow(QueueName(instrument, kind), left, right, pair, &found)
      }
    }
    return found
  }

  private static func range(of kind: BookQueue, _ outlines: [QueueOutline]) -> LevelRange? {
    outlines.first { $0.kind == kind }?.range
  }

  /// Follows the parts of a queue that differ down to levels.
  private mutating func narrow(
    _ queue: QueueName, _ one: LevelRange, _ other: LevelRange, _ pair: Pair, _ found: inout [LevelName]
  ) async throws {
    let bounds = Self.bounds(one, other)
    if one.levels <= 1, other.levels <= 1 {
      let prices = Set([one, other].filter { $0.levels == 1 }.map(\.lowest)).sorted()
      found.append(contentsOf: prices.map { LevelName(queue, priceTicks: $0) })
      return
    }
    guard found.count < Self.levelsMax, bounds.lowest <= bounds.highest else { return }
    let low = UInt64(clamping: bounds.lowest) - 1
    let prices =
      [low] + Self.spread(after: low, through: UInt64(clamping: bounds.highest), parts: Question.partsMax - 1)
    let first = try await ask(left, .levels(book: pair.left.id, queue, at: prices))
    let second = try await ask(right, .levels(book: pair.right.id, queue, at: prices))
    guard case .levels(let mine) = first, case .levels(let theirs) = second, mine.count == theirs.count else {
      divergence.remarks.append("levels cannot be compared: \(Self.reasons(first, second))")
      return
    }
    for (left, right) in zip(mine, theirs) where left != right {
      try await narrow(queue, left, right, pair, &found)
      if found.count >= Self.levelsMax { return }
    }
  }

  private static func bounds(_ one: LevelRange, _ other: LevelRange) -> (lowest: Int64, highest: Int64) {
    if one.levels == 0 { return (max(1, other.lowest), other.highest) }
    if other.levels == 0 { return (max(1, one.lowest), one.highest) }
    return (max(1, min(one.lowest, other.lowest)), max(one.highest, other.highest))
  }

  // MARK: Orders

  private mutating func compareOrders(_ found: [LevelName], _ pair: Pair) async throws {
    var pair = pair
    let named = Array(found.prefix(Question.namedLevelsMax))
    divergence.book?.level = named[0]
    // A node that runs keeps only the orders that were named.
    if pair.point == .now || isAt(pair.point) {
      guard let again = try await capture(.now, levels: named) else { return }
      pair = again
    }
    for level in named {
      let first = try await orders(of: level, at: left, pair.left.id)
      let second = try await orders(of: level, at: right, pair.right.id)
      guard let mine = first, let theirs = second else { continue }
      let differing = Self.differences(mine, theirs)
      guard let order = differing.first else { continue }
      divergence.book?.level = level
      divergence.book?.orders = order
      divergence.book?.otherOrders = differing.count - 1
      return
    }
    divergence.remarks.append("the level changed before its orders could be compared")
  }

  private func isAt(_ point: BookPoint) -> Bool { if case .at = point { true } else { false } }

  private mutating func orders(
    of level: LevelName, at witness: any Witness, _ book: UInt64
  ) async throws -> [ComparedOrder]? {
    var all: [ComparedOrder] = []
    while true {
      let answer = try await ask(witness, .orders(book: book, level, skipping: all.count))
      guard case .orders(let page, let isMore) = answer else {
        divergence.remarks.append("orders cannot be compared: \(Self.reasons(answer))")
        return nil
      }
      all += page
      if !isMore || page.isEmpty { return all }
    }
  }

  /// In the order of the queue: orders that one side lacks or has otherwise; if there are none, the first two that
  /// stand in another order.
  private static func differences(
    _ one: [ComparedOrder], _ other: [ComparedOrder]
  ) -> [Divergence.Pair<ComparedOrder>] {
    var theirs: [Dot: ComparedOrder] = [:]
    for order in other { theirs[order.resting.dot] = order }
    var mine: Set<Dot> = []
    var found: [Divergence.Pair<ComparedOrder>] = []
    for order in one {
      mine.insert(order.resting.dot)
      if theirs[order.resting.dot] != order { found.append(Divergence.Pair(order, theirs[order.resting.dot])) }
    }
    for order in other where !mine.contains(order.resting.dot) { found.append(Divergence.Pair(nil, order)) }
    if found.isEmpty, let place = zip(one, other).enumerated().first(where: { $1.0 != $1.1 })?.offset {
      found.append(Divergence.Pair(one[place], other[place]))
    }
    return found
  }
}
