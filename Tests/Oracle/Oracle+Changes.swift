import OrderBook
import Primitives

/// Cancels and amends.
extension Oracle {
  /// Where an open order is.
  struct Place {
    var book: Int
    var side: Int
    var isWaiting: Bool
    var index: Int
  }

  func place(of dot: Dot) -> Place? {
    for book in books.indices {
      for side in 0...1 {
        if let index = books[book].resting[side].firstIndex(where: { $0.dot == dot }) {
          return Place(book: book, side: side, isWaiting: false, index: index)
        }
        if let index = books[book].stops[side].firstIndex(where: { $0.order.dot == dot }) {
          return Place(book: book, side: side, isWaiting: true, index: index)
        }
      }
    }
    return nil
  }

  func isOpen(_ dot: Dot) -> Bool { place(of: dot) != nil }

  subscript(place: Place) -> RestingOrder {
    get {
      place.isWaiting
        ? books[place.book].stops[place.side][place.index].order : books[place.book].resting[place.side][place.index]
    }
    set {
      if place.isWaiting {
        books[place.book].stops[place.side][place.index].order = newValue
      } else {
        books[place.book].resting[place.side][place.index] = newValue
      }
    }
  }

  mutating func remove(_ place: Place) {
    if place.isWaiting {
      books[place.book].stops[place.side].remove(at: place.index)
    } else {
      books[place.book].resting[place.side].remove(at: place.index)
    }
  }

  /// The order meant; or nil once it has been rejected, or if nobody knows it (then `unknown` is told its dot).
  private mutating func find(
    _ target: OrderReference, _ account: AccountID, _ entry: Dot, unknown: (inout Oracle, Dot) -> Void
  ) -> Place? {
    switch target {
    case .dot(let dot):
      if let place = place(of: dot) {
        if self[place].account == account { return place }
        reject(entry, .notOwner, dot)
      } else if let first = taken(account, .dot(dot)) {
        if let place = place(of: first.dot) { return place }
        reject(entry, .notOpen, first.dot)
      } else if dot.sequence <= applied[dot.origin, default: 0] {
        reject(entry, .notOpen, dot)
      } else {
        unknown(&self, dot)
      }
    case .client(let id):
      guard !id.isNone, let first = taken(account, id) else {
        unknown(&self, .none)
        return nil
      }
      if let place = place(of: first.dot) { return place }
      reject(entry, .notOpen, first.dot)
    }
    return nil
  }

  mutating func apply(_ cancel: Cancel, _ dot: Dot) {
    let found = find(cancel.target, cancel.account, dot) { oracle, order in
      let isNothing = cancel.target == .client(.none)
      let isKnown = cancel.targetStamp != .zero
      if isKnown || isNothing { oracle.reject(dot, .unknownOrder, order) }
      if !isKnown && !isNothing || cancel.target == .dot(order) { oracle.layStone(cancel) }
    }
    guard let place = found else { return }
    events.append(.cancelled(order: self[place].dot, reason: .requested, openLots: self[place].openLots))
    remove(place)
  }

  mutating func apply(_ all: CancelAll, _ dot: Dot) {
    if !all.instrument.isNone && book(all.instrument) == nil { return reject(dot, .unknownInstrument) }
    for order in orders(of: all.account) where all.instrument.isNone || order.instrument == all.instrument {
      if let place = place(of: order.dot) { remove(place) }
      events.append(.cancelled(order: order.dot, reason: .cancelAll, openLots: order.openLots))
    }
  }

  mutating func apply(_ amend: Amend, _ dot: Dot, _ key: OrderKey) {
    let found = find(amend.target, amend.account, dot) { $0.reject(dot, .unknownOrder, $1) }
    guard let place = found else { return }
    var order = self[place]
    let hasLimit = order.type != .stop
    if let price = amend.priceTicks, !hasLimit || !Self.isPlausible(price) {
      return reject(dot, .invalidPrice, order.dot)
    }
    var open = order.openLots
    if let quantity = amend.quantityLots {
      let total = Int128(quantity) + (amend.quantityMeaning == .open ? Int128(order.filledLots) : 0)
      if !Self.isPlausible(quantity) || total > 1 << 62 { return reject(dot, .invalidQuantity, order.dot) }
      open = Int64(total) - order.filledLots
    }
    if open <= 0 {
      remove(place)
      events.append(.cancelled(order: order.dot, reason: .requested, openLots: order.openLots))
      return
    }
    let price = amend.priceTicks ?? order.priceTicks
    if hasLimit && Self.overflows(price, open) { return reject(dot, .notionalOverflow, order.dot) }
    if Self.showsTooLittle(open, order.displayLots) { return reject(dot, .invalidDisplay, order.dot) }
    let keepsPlace = price == order.priceTicks && open <= order.openLots && !amend.forfeitsPriority
    let openBefore = order.openLots
    order.priceTicks = price
    order.openLots = open
    if order.postOnly && !keepsPlace && wouldTrade(order, place.book) { return reject(dot, .wouldTrade, order.dot) }
    events.append(
      .amended(order: order.dot, by: dot, priceTicks: price, openLots: open, reducedLots: openBefore - open))
    if keepsPlace {
      order.visibleLots = min(order.visibleLots, open)
      self[place] = order
      return
    }
    remove(place)
    if place.isWaiting { wait(order, place.book, key) } else { enter(order, place.book, depth: 0) }
  }

  // MARK: What it holds

  /// Every open order, waiting or not.
  package var open: [RestingOrder] {
    books.flatMap { book in book.resting.flatMap { $0 } + book.stops.flatMap { $0 }.map(\.order) }
  }

  /// Every stop that waits.
  package var waiting: [Waiting] { books.flatMap { $0.stops.flatMap { $0 } } }

  package var restingOrders: Int { books.reduce(0) { $0 + $1.resting[0].count + $1.resting[1].count } }
  package var waitingStops: Int { books.reduce(0) { $0 + $1.stops[0].count + $1.stops[1].count } }

  /// By dot.
  package func orders(of account: AccountID) -> [RestingOrder] {
    open.filter { $0.account == account }.sorted { $0.dot < $1.dot }
  }

  package func order(_ dot: Dot) -> RestingOrder? { place(of: dot).map { self[$0] } }

  package func queue(of instrument: Dot, _ side: Side, priceTicks: Int64) -> [RestingOrder] {
    guard let book = book(instrument) else { return [] }
    return books[book].resting[side.int].filter { $0.priceTicks == priceTicks }
  }

  package func stops(of instrument: Dot, _ side: Side) -> [RestingOrder] {
    guard let book = book(instrument) else { return [] }
    return books[book].stops[side.int].map(\.order)
  }

  package func lastTradePrice(of instrument: Dot) -> Int64? { book(instrument).flatMap { books[$0].lastTrade } }

  /// Best first, with what everybody sees.
  package func levels(of instrument: Dot, _ side: Side) -> [LevelSummary] {
    guard let book = book(instrument) else { return [] }
    var out: [LevelSummary] = []
    for order in books[book].resting[side.int] {
      if out.last?.priceTicks != order.priceTicks {
        out.append(LevelSummary(priceTicks: order.priceTicks, quantityLots: 0, orders: 0))
      }
      out[out.count - 1].quantityLots += UInt128(order.visibleLots)
      out[out.count - 1].orders += 1
    }
    return out
  }
}
