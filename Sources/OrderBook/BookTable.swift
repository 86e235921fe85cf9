import Primitives

/// An instrument and what its book knows besides its orders.
struct Book {
  var dot = Dot.none
  var instrument: Instrument
  /// Price of the last trade, or 0.
  var lastTradeTicks: Int64 = 0
  /// The kept price tries of bids, asks, buy stops and sell stops.
  var tries = BookTries()
  /// The hash of this book as of the last `bookHash`, unless dirty.
  var hash = Hash256.zero
  var isDirty = true
}

/// The root of a price trie, or none, and how many levels are in it.
struct TrieRoot {
  var node: UInt32 = noSlot
  var levels: UInt64 = 0
}

/// One for each part of a book that has levels.
struct BookTries {
  var bids = TrieRoot()
  var asks = TrieRoot()
  var buyStops = TrieRoot()
  var sellStops = TrieRoot()
}

/// The books in order of definition, found by defining dot and by symbol: open addressing over raw memory.
struct BookTable: ~Copyable {
  private var books: Slab<Book>
  private(set) var count: UInt32 = 0
  private var byDot = Slab<UInt32>(capacity: 64)
  private var bySymbol = Slab<UInt32>(capacity: 64)
  private var mask = 63
  /// What was found last: most orders in a row name one instrument.
  private var recentDot = Dot.none
  private(set) var recentBook: UInt32 = 0

  init() {
    books = Slab(capacity: 4)
  }

  @inline(__always) subscript(book: UInt32) -> Book {
    unsafeAddress { UnsafePointer(books.address(Int(book))) }
    unsafeMutableAddress { books.address(Int(book)) }
  }

  /// Number of the book that `dot` defined.
  @inline(__always) mutating func find(_ dot: Dot) -> UInt32? {
    if isRecent(dot) { return recentBook }
    return findOther(dot)
  }

  /// Whether `dot` defined the book found last, which is `recentBook`.
  @inline(__always) func isRecent(_ dot: Dot) -> Bool { dot == recentDot && !dot.isNone }

  // Mutating, so that the table is not copied for the call.
  @inline(never) private mutating func findOther(_ dot: Dot) -> UInt32? {
    guard let book = search(dot) else { return nil }
    recentDot = dot
    recentBook = book
    return book
  }

  /// As `find`, for queries.
  @inline(__always) func search(_ dot: Dot) -> UInt32? {
    var cell = place(dot)
    while byDot[cell] != 0 {
      if books[byDot[cell] - 1].dot == dot { return byDot[cell] - 1 }
      cell = (cell + 1) & mask
    }
    return nil
  }

  func find(_ symbol: Symbol) -> UInt32? {
    var cell = place(symbol)
    while bySymbol[cell] != 0 {
      if books[bySymbol[cell] - 1].instrument.symbol == symbol { return bySymbol[cell] - 1 }
      cell = (cell + 1) & mask
    }
    return nil
  }

  /// - Precondition: neither dot nor symbol is in the table.
  mutating func append(_ dot: Dot, _ instrument: Instrument) -> UInt32 {
    if Int(count) * 2 >= mask { widen() }
    let book = count
    count += 1
    books.reserve(Int(count))
    books[book] = Book(dot: dot, instrument: instrument)
    enter(book)
    return book
  }

  /// Takes the newest book back. Nothing entered after it, so its cells can simply be cleared.
  mutating func removeLast() {
    precondition(count > 0, "no book to remove")
    count -= 1
    var cell = place(books[count].dot)
    while byDot[cell] != count + 1 { cell = (cell + 1) & mask }
    byDot[cell] = 0
    cell = place(books[count].instrument.symbol)
    while bySymbol[cell] != count + 1 { cell = (cell + 1) & mask }
    bySymbol[cell] = 0
    recentDot = .none
  }

  private mutating func enter(_ book: UInt32) {
    var cell = place(books[book].dot)
    while byDot[cell] != 0 { cell = (cell + 1) & mask }
    byDot[cell] = book + 1
    cell = place(books[book].instrument.symbol)
    while bySymbol[cell] != 0 { cell = (cell + 1) & mask }
    bySymbol[cell] = book + 1
  }

  private mutating func widen() {
    let capacity = (mask + 1) * 2
    byDot = Slab(capacity: capacity)
    bySymbol = Slab(capacity: capacity)
    mask = capacity - 1
    for book in 0..<count { enter(book) }
  }

  private func place(_ dot: Dot) -> Int {
    Int(truncatingIfNeeded: mixed(dot.sequence &+ UInt64(dot.origin.value) &* 0x9E37_79B9_7F4A_7C15)) & mask
  }

  private func place(_ symbol: Symbol) -> Int {
    Int(truncatingIfNeeded: mixed(symbol.low ^ mixed(symbol.high))) & mask
  }
}
