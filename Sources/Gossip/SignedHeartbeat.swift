import EventLog
import Primitives

/// A member's word: its beat and all its acks, signed, for those who do not hear it. Others pass it on.
///
/// What it says is a fact whenever it is heard: beats and acks only grow, and count in their own view only. So a word
/// that comes late, twice or again means nothing new.
/// Source: DESIGN 4.
public struct SignedHeartbeat: Hashable, Sendable {
  /// It names its speaker, and asks for nothing.
  public let heartbeat: Heartbeat
  public let signature: Signature

  /// - Precondition: the heartbeat names its speaker, asks for nothing and acks no more logs than a view has members.
  public init(heartbeat: Heartbeat, signature: Signature) {
    precondition(Self.mayBeSigned(heartbeat))
    self.heartbeat = heartbeat
    self.signature = signature
  }

  private static func mayBeSigned(_ heartbeat: Heartbeat) -> Bool {
    heartbeat.speaker != nil && heartbeat.unheard.isEmpty && !heartbeat.wantsWord
      && heartbeat.acks.count <= Limits.membersMax
  }

  /// `"rialto.word.1" ‖ cluster id ‖ heartbeat`; view and speaker are in the heartbeat.
  public static func signedBytes(_ heartbeat: Heartbeat, cluster: Hash256) -> [UInt8] {
    var writer = ByteWriter(reserving: 128 + 44 * heartbeat.acks.count)
    writer.write(Array("rialto.word.1".utf8))
    writer.write(cluster)
    heartbeat.write(to: &writer)
    return writer.bytes
  }

  public func isValid(cluster: Hash256, key: PublicKey, signatures: any Signatures) -> Bool {
    signatures.isValid(signature, of: Self.signedBytes(heartbeat, cluster: cluster), by: key)
  }

  func write(to writer: inout ByteWriter) {
    heartbeat.write(to: &writer)
    writer.write(signature.bytes)
  }

  init(from reader: inout ByteReader) throws(CodecError) {
    heartbeat = try Heartbeat(from: &reader)
    guard Self.mayBeSigned(heartbeat) else { throw .invalid(field: "word") }
    guard let signature = Signature(bytes: try reader.readBytes(Signature.byteCount, "signature")) else {
      throw .invalid(field: "signature")
    }
    self.signature = signature
  }
}
