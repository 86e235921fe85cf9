import EventLog
import Primitives

/// Where a member says that it listens, signed by it; the newest boot wins.
public struct AddressRecord: Hashable, Sendable {
  public let origin: OriginIndex
  /// Wall-clock milliseconds at which the member started.
  public let bootMilliseconds: UInt64
  /// `host:port`.
  public let address: String
  public let signature: Signature

  public init(origin: OriginIndex, bootMilliseconds: UInt64, address: String, signature: Signature) {
    self.origin = origin
    self.bootMilliseconds = bootMilliseconds
    self.address = address
    self.signature = signature
  }

  /// Signs one's own address.
  public init(
    origin: OriginIndex, bootMilliseconds: UInt64, address: String, cluster: Hash256, signatures: any Signatures
  ) {
    let message = Self.signedBytes(
      cluster: cluster, origin: origin, bootMilliseconds: bootMilliseconds, address: address)
    self.init(
      origin: origin, bootMilliseconds: bootMilliseconds, address: address, signature: signatures.sign(message))
  }

  /// `"rialto.address.1" ‖ cluster id ‖ origin u32 ‖ boot u64 ‖ address`.
  private static func signedBytes(
    cluster: Hash256, origin: OriginIndex, bootMilliseconds: UInt64, address: String
  ) -> [UInt8] {
    var writer = ByteWriter()
    writer.write(Array("rialto.address.1".utf8))
    writer.write(cluster)
    writer.writeFixed(origin.value)
    writer.writeFixed(bootMilliseconds)
    writer.write(Array(address.utf8))
    return writer.bytes
  }

  public func isValid(cluster: Hash256, key: PublicKey, signatures: any Signatures) -> Bool {
    let message = Self.signedBytes(
      cluster: cluster, origin: origin, bootMilliseconds: bootMilliseconds, address: address)
    return signatures.isValid(signature, of: message, by: key)
  }

  public func write(to writer: inout ByteWriter) {
    writer.writeVarint(UInt64(origin.value))
    writer.writeVarint(bootMilliseconds)
    writer.writePrefixed(Array(address.utf8))
    writer.write(signature.bytes)
  }

  public init(from reader: inout ByteReader) throws(CodecError) {
    origin = OriginIndex(UInt32(try reader.readVarint("address origin", max: UInt64(Limits.originsMax - 1))))
    bootMilliseconds = try reader.readVarint("address boot")
    let utf8 = try reader.readPrefixed("address", max: Limits.addressBytesMax)
    guard let text = String(validating: utf8, as: UTF8.self) else { throw .invalid(field: "address") }
    address = text
    guard let signature = Signature(bytes: try reader.readBytes(Signature.byteCount, "address signature")) else {
      throw .invalid(field: "address signature")
    }
    self.signature = signature
  }
}

/// Where each member was last heard to listen.
public struct AddressBook: Sendable {
  /// By place in the register.
  public private(set) var records: [AddressRecord?] = []

  public init() {}

  public subscript(_ origin: OriginIndex) -> AddressRecord? {
    origin.int < records.count ? records[origin.int] : nil
  }

  /// Known records, by origin.
  public var all: [AddressRecord] { records.compactMap { $0 } }

  public func isNews(_ record: AddressRecord) -> Bool {
    guard let known = self[record.origin] else { return true }
    return record.bootMilliseconds > known.bootMilliseconds
  }

  /// Takes a record whose signature was checked.
  public mutating func insert(_ record: AddressRecord) {
    while records.count <= record.origin.int { records.append(nil) }
    records[record.origin.int] = record
  }

  public mutating func remove(_ origin: OriginIndex) {
    if origin.int < records.count { records[origin.int] = nil }
  }
}
