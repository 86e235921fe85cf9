import Primitives

/// An instrument and what its book knows besides its orders.
struct Book {
  var dot = Dot.none
  var instrument: Instrument
  /// Price of the last trade, or 0.
  var lastTradeTicks: Int64 = 0
  /// Roots of the cached price tries, or none.
  var bidRoot: UInt32 = noSlot
  var askRoot: UInt32 = noSlot
  /// Levels in each trie.
  var bidLevels: UInt64 = 0
  var askLevels: UInt64 = 0
  /// The hash of this book as of the last `bookHash`, unless dirty.
  var hash = Hash256.zero
  var isDirty = true
}

/// The books in order of definition, found by defining dot and by symbol: open addressing over raw memory.
struct BookTable: ~Copyable {
  private var books: Slab<Book>
  private(set) var count: UInt32 = 0
  private var byDot = Slab<UInt32>(capacity: 64, blank: 0)
  private var bySymbol = Slab<UInt32>(capacity: 64, blank: 0)
  private var mask = 63
  /// What was found last: most orders in a row name one instrument.
  private var recentDot = Dot.none
  private var recentBook: UInt32 = 0

  init() {
    books = Slab(capacity: 4, blank: Book(instrument: Instrument(symbol: Symbol("-")!)))
  }

  @inline(__always) subscript(book: UInt32) -> Book {
    unsafeAddress { UnsafePointer(books.address(Int(book))) }
    unsafeMutableAddress { books.address(Int(book)) }
  }

  /// Number of the book that `dot` defined.
  @inline(__always) mutating func find(_ dot: Dot) -> UInt32? {
    if dot == recentDot && !dot.isNone { return recentBook }
    guard let book = search(dot) else { return nil }
    recentDot = dot
    recentBook = book
    return book
  }

  /// As `find`, for queries.
  @inline(never) func search(_ dot: Dot) -> UInt32? {
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
    byDot = Slab(capacity: capacity, blank: 0)
    bySymbol = Slab(capacity: capacity, blank: 0)
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
