import EventLog
import Primitives

/// What this node wrote past the ends of its sealed logs and has to send again, and how far it has come with that.
///
/// ```
/// tails count varint, each: origin varint, first varint, last varint, next varint; first ≤ next ≤ last
/// ```
///
/// Tails in the order in which they are sent again. Of a node that is sealed again before it was done, the newest tail
/// comes first: what is in it was sent again, or is left, before what the older one still has.
///
/// Source: `Tests/Model`, "State" and rule 22.
public struct ResubmissionRecord: Hashable, Sendable {
  /// Entries of one sealed log, all of them void.
  public struct Tail: Hashable, Sendable {
    public let origin: OriginIndex
    public let first: UInt64
    public let last: UInt64
    /// The first that has not been looked at yet.
    public var next: UInt64
    public init(origin: OriginIndex, first: UInt64, last: UInt64, next: UInt64) {
      precondition(first > 0 && first <= next && next <= last)
      self.origin = origin
      self.first = first
      self.last = last
      self.next = next
    }
  }

  public var tails: [Tail]

  public init(tails: [Tail] = []) { self.tails = tails }

  func write(to writer: inout ByteWriter) {
    writer.writeVarint(UInt64(tails.count))
    for tail in tails {
      writer.writeVarint(UInt64(tail.origin.value))
      for sequence in [tail.first, tail.last, tail.next] { writer.writeVarint(sequence) }
    }
  }

  init(from reader: inout ByteReader) throws(CodecError) {
    tails = []
    for _ in 0..<(try reader.readViewCount("void tails", max: Limits.voidTailsMax)) {
      let origin = try reader.readViewOrigin()
      let first = try reader.readVarint("void tail")
      let last = try reader.readVarint("void tail")
      let next = try reader.readVarint("void tail")
      guard first > 0, first <= next, next <= last else { throw .invalid(field: "void tail") }
      tails.append(Tail(origin: origin, first: first, last: last, next: next))
    }
  }
}
