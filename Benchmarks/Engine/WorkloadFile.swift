import OrderBook
import Primitives

/// A workload file of the public matching-engine benchmark, so that its flows can be measured without its harness.
///
/// ```
/// header   magic u64 "MEBW_001", version u32 (1), records u32
/// record   type u8 (0 new, 1 cancel, 2 modify), side u8 (0 buy, 1 sell), ioc u8, pad u8, quantity u32,
///          sequence u64 (the record's number, from 0), order id u64, price i64, reserved i64
/// ```
///
/// Integers are little-endian. The file names orders by ids; an id that is used again names the newer order from then
/// on. All orders are of one account.
/// - Source: flash1-dev/matching-engine-benchmark, `workload/generator.cpp`.
public enum WorkloadFile {
  static let magic: UInt64 = 0x4D45_4257_5F30_3031
  static let version: UInt32 = 1
  static let headerBytes = 16
  static let recordBytes = 40
  /// More than this takes more memory than a benchmark should.
  static let recordsMax = 50_000_000

  /// - Parameter name: what the flow is called in reports.
  /// - Throws: `WorkloadFileError`, if the bytes are no workload that an engine could be given.
  /// - Complexity: O(records).
  public static func flow(name: String, _ bytes: [UInt8]) throws(WorkloadFileError) -> EngineFlow {
    let count = try records(bytes)
    var reader = Reader(records: count)
    for number in 0..<count { try reader.add(Record(bytes, number), number) }
    return EngineFlow(name: name, steps: reader.steps, preludeSteps: 0)
  }

  /// Checks the header.
  private static func records(_ bytes: [UInt8]) throws(WorkloadFileError) -> Int {
    guard bytes.count >= headerBytes else { throw .noHeader(bytes: bytes.count) }
    let magic = bytes.integer(at: 0, as: UInt64.self)
    guard magic == Self.magic else { throw .otherMagic(magic) }
    let version = bytes.integer(at: 8, as: UInt32.self)
    guard version == Self.version else { throw .otherVersion(version) }
    let count = Int(bytes.integer(at: 12, as: UInt32.self))
    guard count > 0 else { throw .noRecords }
    guard count <= recordsMax else { throw .tooManyRecords(count) }
    let wanted = headerBytes + count * recordBytes
    guard bytes.count == wanted else { throw .otherSize(bytes: bytes.count, wanted: wanted) }
    return count
  }

  private struct Record {
    var type, side, ioc: UInt8
    var quantity: UInt32
    var sequence, id: UInt64
    var price: Int64

    init(_ bytes: [UInt8], _ number: Int) {
      let at = headerBytes + number * recordBytes
      type = bytes[at]
      side = bytes[at + 1]
      ioc = bytes[at + 2]
      quantity = bytes.integer(at: at + 4, as: UInt32.self)
      sequence = bytes.integer(at: at + 8, as: UInt64.self)
      id = bytes.integer(at: at + 16, as: UInt64.self)
      price = bytes.integer(at: at + 24, as: Int64.self)
    }
  }

  private struct Reader {
    var steps: ContiguousArray<FlowStep> = []
    /// The step that placed the order of an id, and its side.
    private var placed: [UInt64: (step: UInt32, side: Side)] = [:]

    init(records: Int) {
      steps.reserveCapacity(records)
      placed.reserveCapacity(records / 2)
    }

    mutating func add(_ record: Record, _ number: Int) throws(WorkloadFileError) {
      guard let kind = FlowStep.Kind(rawValue: record.type) else { throw .otherType(record.type, record: number) }
      guard let side = Side(rawValue: record.side) else { throw .otherSide(record.side, record: number) }
      guard record.ioc == 0 || record.ioc == 1 && kind == .order else { throw .otherIOC(record.ioc, record: number) }
      guard record.sequence == UInt64(number) else { throw .otherSequence(record.sequence, record: number) }
      if kind != .cancel {
        guard record.quantity > 0 else { throw .noQuantity(record: number) }
        guard (1...Limits.priceTicksMax).contains(record.price) else { throw .otherPrice(record.price, record: number) }
      }
      var step = FlowStep(kind: kind)
      step.side = side
      if kind != .cancel {
        step.priceTicks = record.price
        step.quantityLots = Int64(record.quantity)
      }
      if kind == .order {
        if record.ioc == 1 { step.timeInForce = .immediateOrCancel }
        placed[record.id] = (UInt32(number), side)
      } else if let target = placed[record.id] {
        guard target.side == side else { throw .sideChanged(id: record.id, record: number) }
        step.target = target.step
      } else {
        step.target = FlowStep.unknownTarget
      }
      steps.append(step)
    }
  }
}

/// Why bytes are no workload. Records are numbered from 0, as the file does.
public enum WorkloadFileError: Error, Hashable, CustomStringConvertible {
  case noHeader(bytes: Int)
  case otherMagic(UInt64)
  case otherVersion(UInt32)
  case noRecords
  case tooManyRecords(Int)
  case otherSize(bytes: Int, wanted: Int)
  case otherType(UInt8, record: Int)
  case otherSide(UInt8, record: Int)
  case otherIOC(UInt8, record: Int)
  case otherSequence(UInt64, record: Int)
  case otherPrice(Int64, record: Int)
  case noQuantity(record: Int)
  case sideChanged(id: UInt64, record: Int)

  public var description: String {
    switch self {
    case .noHeader(let bytes): "\(bytes) bytes are too few for a header of \(WorkloadFile.headerBytes)"
    case .otherMagic(let value):
      "this is no workload file: its magic number is 0x\(String(value, radix: 16)), "
        + "not 0x\(String(WorkloadFile.magic, radix: 16))"
    case .otherVersion(let value): "version \(value) is not known, only \(WorkloadFile.version)"
    case .noRecords: "the file holds no records"
    case .tooManyRecords(let count): "\(count) records are more than \(WorkloadFile.recordsMax)"
    case .otherSize(let bytes, let wanted): "the file has \(bytes) bytes; its header promises \(wanted)"
    case .otherType(let value, let record): "record \(record): type \(value) is none of 0 (new), 1 (cancel), 2 (modify)"
    case .otherSide(let value, let record): "record \(record): side \(value) is neither 0 (buy) nor 1 (sell)"
    case .otherIOC(let value, let record): "record \(record): ioc \(value) is not 0, nor 1 on a new order"
    case .otherSequence(let value, let record): "record \(record): its sequence is \(value), not \(record)"
    case .otherPrice(let value, let record): "record \(record): price \(value) is not in 1...2^62"
    case .noQuantity(let record): "record \(record): quantity 0"
    case .sideChanged(let id, let record): "record \(record): order \(id) was placed on the other side"
    }
  }
}

extension [UInt8] {
  fileprivate func integer<T: FixedWidthInteger>(at offset: Int, as type: T.Type) -> T {
    precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count, "beyond the end")
    return withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: type)) }
  }
}
