/// Faults that can be built into a replica on purpose, so that the simulator can show that it sees them.
///
/// Nothing outside this package can ask for one, and a node never does. Each is looked at where it costs nothing.
package struct Defects: OptionSet, Hashable, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Acknowledges to clients before the sync.
  package static let acknowledgesBeforeSync = Defects(rawValue: 1 << 0)
  /// Sends a batch before its author's sync.
  package static let sendsBeforeSync = Defects(rawValue: 1 << 1)
  /// Digests name what is held instead of what is applied.
  package static let digestOfHeld = Defects(rawValue: 1 << 2)
  /// A late entry is applied where it arrives, not where it belongs.
  package static let arrivalOrder = Defects(rawValue: 1 << 3)
  /// Now and then a rollback is left out, and what is late is applied on top.
  package static let dropsRollback = Defects(rawValue: 1 << 4)
  /// Undo leaves a stop out that it should put back.
  package static let undoForgetsStop = Defects(rawValue: 1 << 5)
  /// The codec loses what an iceberg displays.
  package static let codecLosesDisplay = Defects(rawValue: 1 << 6)
  /// Gossip never speaks again to a peer whose link was down.
  package static let forgetsPeer = Defects(rawValue: 1 << 7)
}
