import Primitives
import Wire

/// A fault that a node of a demo cluster is told to have; any other node refuses it (`notADemo`).
///
/// | kind u8 | fault | fields |
/// |---|---|---|
/// | 1 | links | list of (node id 32 bytes · direction u8), at most `Limits.membersMax` |
/// | 2 | corrupt | what u8 (`Corruption`) · seed varint |
///
/// Cut links hold until the next ones, or until the node stops; damage is for the node to find.
public enum InjectedFault: Hashable, Sendable {
  /// From which other nodes this one is cut off; none ends it.
  case links([CutLink])
  /// Damages the node; the seed says where.
  case corrupt(Corruption, seed: UInt64)

  func write(to writer: inout ByteWriter) {
    switch self {
    case .links(let cuts):
      writer.write(1)
      writer.writeList(cuts) { writer, cut in
        writer.write(cut.node.hash)
        writer.write(cut.direction.rawValue)
      }
    case .corrupt(let kind, let seed):
      writer.write(2)
      writer.write(kind.rawValue)
      writer.writeVarint(seed)
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
    case 2: self = .corrupt(try reader.readCase("corruption"), seed: try reader.readVarint("seed"))
    default: throw .unknown(field: "fault kind", value: UInt64(kind))
    }
  }
}

/// What a node of a demo cluster may be damaged by.
public enum Corruption: UInt8, Hashable, Sendable, CaseIterable {
  /// A bit of the book in memory flips: an order's open or filled quantity, or a level's sum.
  case bitflipBook = 1
  /// A bit of a stored batch's bytes flips.
  case bitflipLog = 2
  /// The row of a stored batch is deleted.
  case dropEntry = 3
  /// The next final fill is left out of everything that follows from it.
  case skipFill = 6

  /// As a person writes it.
  public var name: String {
    switch self {
    case .bitflipBook: "bitflip-book"
    case .bitflipLog: "bitflip-log"
    case .dropEntry: "drop-entry"
    case .skipFill: "skip-fill"
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
