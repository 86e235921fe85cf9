import OrderBook
import Primitives

/// Immutable record in one origin's log.
///
/// Its sequence is its place in the log; origin and sequence together are its dot.
public struct Entry: Hashable, Sendable {
  public var stamp: Stamp
  public var payload: Payload
  public init(stamp: Stamp, payload: Payload) {
    self.stamp = stamp
    self.payload = payload
  }
}

public enum Payload: Hashable, Sendable {
  /// What a client asked for: input of the book.
  case command(Command)
  /// What this origin's replica derived: never input, always compared with the reader's own derivation.
  case fill(FillAttestation)
  case checkpoint(CheckpointAttestation)
}

/// A final fill, published by the taker's home node.
public struct FillAttestation: Hashable, Sendable {
  public var maker: Dot
  public var taker: Dot
  public var priceTicks: Int64
  public var quantityLots: Int64
  public init(maker: Dot, taker: Dot, priceTicks: Int64, quantityLots: Int64) {
    self.maker = maker
    self.taker = taker
    self.priceTicks = priceTicks
    self.quantityLots = quantityLots
  }
}

/// What a member derived at the end of a second of stamp time.
public struct CheckpointAttestation: Hashable, Sendable {
  /// Boundary in seconds since 1970.
  public var number: UInt64
  /// Fills since the beginning of the log.
  public var fills: UInt64
  public var bookHash: Hash256
  /// Chains all checkpoints before it.
  public var checkpointHash: Hash256
  public init(number: UInt64, fills: UInt64, bookHash: Hash256, checkpointHash: Hash256) {
    self.number = number
    self.fills = fills
    self.bookHash = bookHash
    self.checkpointHash = checkpointHash
  }
}
