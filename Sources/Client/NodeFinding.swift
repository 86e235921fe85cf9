/// Something that a node has found to be wrong: what, where, and what was done about it. JSON on the wire, so that
/// fields may be added.
public struct NodeFinding: Codable, Equatable, Sendable {
  /// One order that the damaged book had otherwise than the one that was made anew; nil on a side that lacks it.
  public struct Difference: Codable, Equatable, Sendable {
    public var order: String
    public var here: Side?
    public var rebuilt: Side?
    public init(order: String, here: Side?, rebuilt: Side?) {
      self.order = order
      self.here = here
      self.rebuilt = rebuilt
    }
  }

  /// An order as one book has it.
  public struct Side: Codable, Equatable, Sendable {
    public var symbol: String
    /// `buy` or `sell`.
    public var side: String
    /// Decimal, as the instrument's tick has it.
    public var price: String
    public var openLots: Int64
    public var filledLots: Int64
    public init(symbol: String, side: String, price: String, openLots: Int64, filledLots: Int64) {
      self.symbol = symbol
      self.side = side
      self.price = price
      self.openLots = openLots
      self.filledLots = filledLots
    }
  }

  public var number: UInt64
  /// `book_damage`, `contradicted`, `replay_differs`, `wrong_attestation`, `wrong_digest`, `log_damage` or
  /// `equivocation`.
  public var cause: String
  /// `noticed`, `rebuilding`, `repaired`, `unreconciled`, `accused`.
  public var state: String
  /// Milliseconds since 1970.
  public var noticedAt: UInt64
  public var changedAt: UInt64
  /// Who is accused, or said something else; nil if the node noticed it by itself.
  public var origin: UInt32?
  /// The checkpoint that differs, and its hash here and there; 0 and empty if none does.
  public var checkpoint: UInt64 = 0
  public var mine = ""
  public var theirs = ""
  /// What of the book is damaged, and where; empty and 0 if that is not known.
  public var damage = ""
  public var symbol = ""
  public var side = ""
  public var price = ""
  public var orders: [String] = []
  /// The entry that proves it, or from which on the log is damaged; empty if there is none.
  public var entry = ""
  public var attempts: UInt64 = 0
  public var differences: [Difference] = []
  public var differencesTotal: UInt64 = 0
  /// All of it in words.
  public var text: String

  public init(number: UInt64, cause: String, state: String, noticedAt: UInt64, changedAt: UInt64, text: String) {
    self.number = number
    self.cause = cause
    self.state = state
    self.noticedAt = noticedAt
    self.changedAt = changedAt
    self.text = text
  }
}
