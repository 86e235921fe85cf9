import EventLog
import OrderBook
import Primitives

/// What one node knows of an entry's way to it.
///
/// ```
/// name text; arrived (if known): milliseconds, source text; is applied u8, is final u8, final at (if known);
/// rollbacks (list, newest ones): milliseconds, entries
/// ```
public struct EntryTrace: Hashable, Sendable {
  public struct Rollback: Hashable, Sendable {
    public var milliseconds: UInt64
    public var entries: UInt64
    public init(milliseconds: UInt64, entries: UInt64) {
      self.milliseconds = milliseconds
      self.entries = entries
    }
  }

  public static let rollbacksMax = 16

  public var name: String
  /// By that node's clock, since 1970; nil if it is not known any more.
  public var arrivedMilliseconds: UInt64?
  /// Who brought it; empty for the node where it entered.
  public var source: String
  public var isHeld: Bool
  public var isFinal: Bool
  public var finalMilliseconds: UInt64?
  public var rollbacks: [Rollback]

  public init(
    name: String, arrivedMilliseconds: UInt64?, source: String, isHeld: Bool, isFinal: Bool,
    finalMilliseconds: UInt64?, rollbacks: [Rollback]
  ) {
    self.name = name
    self.arrivedMilliseconds = arrivedMilliseconds
    self.source = source
    self.isHeld = isHeld
    self.isFinal = isFinal
    self.finalMilliseconds = finalMilliseconds
    self.rollbacks = rollbacks
  }

  func write(to writer: inout ByteWriter) {
    writer.write(text: name, max: 255)
    writer.write(optional: arrivedMilliseconds) { $0.writeVarint($1) }
    writer.write(text: source, max: 255)
    writer.write(isHeld ? 1 : 0)
    writer.write(isFinal ? 1 : 0)
    writer.write(optional: finalMilliseconds) { $0.writeVarint($1) }
    writer.write(list: rollbacks) { writer, rollback in
      writer.writeVarint(rollback.milliseconds)
      writer.writeVarint(rollback.entries)
    }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    name = try reader.readText("name", max: 255)
    arrivedMilliseconds = try reader.readOptional("arrived") { (reader) throws(CodecError) in
      try reader.readVarint("arrived")
    }
    source = try reader.readText("source", max: 255)
    isHeld = try reader.readBool("held")
    isFinal = try reader.readBool("final")
    finalMilliseconds = try reader.readOptional("final at") { (reader) throws(CodecError) in
      try reader.readVarint("final at")
    }
    rollbacks = try reader.readList("rollbacks", max: Self.rollbacksMax) { (reader) throws(CodecError) in
      Rollback(
        milliseconds: try reader.readVarint("rollback"), entries: try reader.readVarint("rollback entries"))
    }
  }
}

/// What has become of an order, as the tables of one node have it.
///
/// ```
/// status u8, reason u8, open, filled, changed by (dot), changed at, triggered at, fills (list): fill, attestation
/// (if found): dot, stamp; fills in all
/// ```
public struct OrderFate: Hashable, Sendable {
  /// A fill, and the entry with which the taker's home node published it.
  public struct AttestedFill: Hashable, Sendable {
    public var fill: StoredFill
    public var attestation: Dot?
    public var attestedStamp: Stamp
    public init(fill: StoredFill, attestation: Dot?, attestedStamp: Stamp) {
      self.fill = fill
      self.attestation = attestation
      self.attestedStamp = attestedStamp
    }
  }

  public static let fillsMax = 64

  public var status: OrderStatus
  /// Of status `cancelled` or `rejected`; else 0.
  public var reason: UInt8
  public var openLots: Int64
  public var filledLots: Int64
  public var changedBy: Dot
  public var changedStamp: Stamp
  /// Of a stop; zero if it was not triggered.
  public var triggeredStamp: Stamp
  /// The oldest ones.
  public var fills: [AttestedFill]
  public var fillsTotal: UInt64

  public init(
    status: OrderStatus, reason: UInt8, openLots: Int64, filledLots: Int64, changedBy: Dot, changedStamp: Stamp,
    triggeredStamp: Stamp, fills: [AttestedFill], fillsTotal: UInt64
  ) {
    self.status = status
    self.reason = reason
    self.openLots = openLots
    self.filledLots = filledLots
    self.changedBy = changedBy
    self.changedStamp = changedStamp
    self.triggeredStamp = triggeredStamp
    self.fills = fills
    self.fillsTotal = fillsTotal
  }

  func write(to writer: inout ByteWriter) {
    writer.write(status.rawValue)
    writer.write(reason)
    writer.writeSigned(openLots)
    writer.writeSigned(filledLots)
    writer.write(changedBy)
    writer.writeVarint(changedStamp.value)
    writer.writeVarint(triggeredStamp.value)
    writer.write(list: fills) { writer, attested in
      attested.fill.write(to: &writer)
      writer.write(optional: attested.attestation) { $0.write($1) }
      writer.writeVarint(attested.attestedStamp.value)
    }
    writer.writeVarint(fillsTotal)
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    status = try reader.readCase("status")
    reason = try reader.readByte("reason")
    openLots = try reader.readSigned("open")
    filledLots = try reader.readSigned("filled")
    changedBy = try reader.readDot("changed by")
    changedStamp = Stamp(try reader.readVarint("changed at"))
    triggeredStamp = Stamp(try reader.readVarint("triggered at"))
    fills = try reader.readList("fills", max: Self.fillsMax) { (reader) throws(CodecError) in
      AttestedFill(
        fill: try StoredFill(&reader),
        attestation: try reader.readOptional("attestation") { (reader) throws(CodecError) in
          try reader.readDot("attestation")
        }, attestedStamp: Stamp(try reader.readVarint("attested at")))
    }
    fillsTotal = try reader.readVarint("fills in all")
  }
}
