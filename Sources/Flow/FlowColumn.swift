/// What a flow file may hold, by the name in its header: the first five always, the others where a file needs them.
public enum FlowColumn: String, Hashable, Sendable, CaseIterable {
  case op
  case id
  case side
  case price
  case quantity = "qty"
  /// Whose order it is: an integer; empty leaves it to whoever applies the flow.
  case account
  /// `GTC`, `IOC`, `FOK` or `GTD`; empty is what `op` stands for.
  case timeInForce = "tif"
  /// With `GTD`: after how many milliseconds the order leaves; a replay takes a row for a millisecond.
  case expire
  /// Lots that an iceberg shows; empty or 0 shows everything.
  case display
  /// The price in ticks at which the order enters; empty or 0 for an order that does not wait.
  case stop
  /// `none`, `cancel_newest`, `cancel_oldest`, `cancel_both` or `decrement`; empty is `none`.
  case selfTradePrevention = "stp"
  /// `1` or `true`, `0` or `false`; empty is `0`.
  case postOnly = "post_only"

  /// Their names, as an error lists them.
  static let list = allCases.map(\.rawValue).joined(separator: ",")

  /// Whether every file must have it.
  public var isRequired: Bool { index < 5 }

  var index: Int {
    switch self {
    case .op: 0
    case .id: 1
    case .side: 2
    case .price: 3
    case .quantity: 4
    case .account: 5
    case .timeInForce: 6
    case .expire: 7
    case .display: 8
    case .stop: 9
    case .selfTradePrevention: 10
    case .postOnly: 11
    }
  }
}

/// Columns that a file has besides those that every file has.
public struct FlowColumns: OptionSet, Hashable, Sendable {
  public let rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  public init(_ column: FlowColumn) { self.init(rawValue: column.isRequired ? 0 : 1 << UInt16(column.index)) }

  public static let all = FlowColumns(FlowColumn.allCases.map { FlowColumns($0) })

  /// In the order in which they are written.
  public var columns: [FlowColumn] { FlowColumn.allCases.filter { !$0.isRequired && contains(FlowColumns($0)) } }
}

extension FlowOperation {
  /// The columns without which the operation could not be written.
  public var columns: FlowColumns {
    var columns = FlowColumns()
    if account != nil { columns.insert(FlowColumns(.account)) }
    if !hasDefaultTimeInForce { columns.insert(FlowColumns(.timeInForce)) }
    if lifetimeMilliseconds != 0 { columns.insert(FlowColumns(.expire)) }
    if displayLots != 0 { columns.insert(FlowColumns(.display)) }
    if stopPriceTicks != 0 { columns.insert(FlowColumns(.stop)) }
    if selfTradePrevention != .none { columns.insert(FlowColumns(.selfTradePrevention)) }
    if postOnly { columns.insert(FlowColumns(.postOnly)) }
    return columns
  }

  var hasDefaultTimeInForce: Bool { timeInForce == kind.timeInForce(isStop: stopPriceTicks != 0) }
}
