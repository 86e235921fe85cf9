import Primitives

/// Canonical bytes in pieces of one size, so that nothing large is ever copied to make room for more.
public struct PieceWriter: Sendable {
  /// Bytes of every piece but the last.
  public let pieceBytes: Int
  /// Pieces that are full.
  public private(set) var pieces: [[UInt8]] = []
  /// What comes after them; `cut` keeps it below a piece and a record.
  public var open: ByteWriter

  /// - Precondition: `pieceBytes` is positive.
  public init(pieceBytes: Int) {
    precondition(pieceBytes > 0, "a piece has bytes")
    self.pieceBytes = pieceBytes
    open = ByteWriter(reserving: pieceBytes + 512)
  }

  /// Bytes written so far.
  public var count: Int { pieces.count * pieceBytes + open.count }

  /// After each record.
  @inline(__always) public mutating func cut() { if open.count >= pieceBytes { cutFull() } }

  @inline(never) private mutating func cutFull() {
    var next = ByteWriter(reserving: pieceBytes + 512)
    while open.count >= pieceBytes {
      next.bytes.append(contentsOf: open.bytes[pieceBytes...])
      open.bytes.removeLast(open.count - pieceBytes)
      pieces.append(open.bytes)
      open = next
      next = ByteWriter(reserving: pieceBytes + 512)
    }
  }

  /// All pieces; the last one may be short, and is left out if it is empty.
  public consuming func finish() -> [[UInt8]] {
    cut()
    return open.count == 0 ? pieces : pieces + [open.bytes]
  }
}
