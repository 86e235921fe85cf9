import Primitives
import Wire

/// A fault that a node of a demo cluster is told to have; any other node refuses it (`notADemo`).
///
/// | kind u8 | fault | fields |
/// |---|---|---|
/// | 1 | links | list of (node id 32 bytes · direction u8), at most `Limits.membersMax` |
///
/// It holds until the next one, or until the node stops.
public enum InjectedFault: Hashable, Sendable {
  /// From which other nodes this one is cut off; none ends it.
  case links([CutLink])

  func write(to writer: inout ByteWriter) {
    switch self {
    case .links(let cuts):
      writer.write(1)
      writer.writeList(cuts) { writer, cut in
        writer.write(cut.node.hash)
        writer.write(cut.direction.rawValue)
      }
    }
  }

  init(_ reader: inout ByteReader) throws(CodecError) {
    let kind = try reader.readByte("fault kind")
    switch kind {
    case 1:
      self = .links(
        try reader.readList("cut links", max: Limits.membersMax, elementBytesMin: 33) { (reader) throws(CodecError) in
          let node = NodeID(try reader.readHash("node id"))
          return CutLink(node: node, direction: try reader.readCase("direction"))
        })
    default: throw .unknown(field: "fault kind", value: UInt64(kind))
    }
  }
}

/// One other node, as a partition has it.
public struct CutLink: Hashable, Sendable {
  public enum Direction: UInt8, Hashable, Sendable, CaseIterable {
    /// What it says is lost; it still hears this node.
    case inbound = 0
    /// Neither hears the other, and no connection can be made.
    case both = 1
  }
  public var node: NodeID
  public var direction: Direction
  public init(node: NodeID, direction: Direction) {
    self.node = node
    self.direction = direction
  }
}
