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
  /// A checkpoint's book is hashed as it is, tentative entries included.
  package static let checkpointIncludesTentative = Defects(rawValue: 1 << 8)
  /// One fill in 200 is not published by the taker's home.
  package static let skipsFill = Defects(rawValue: 1 << 9)
  /// Now and then an attestation names another book.
  package static let liesInAttestation = Defects(rawValue: 1 << 10)
  /// What is below everybody's promises is called final, whoever has it on disk.
  package static let finalByPromisesAlone = Defects(rawValue: 1 << 11)
  /// A promise counts before the prefix that it covers is held.
  package static let beatBeforePrefix = Defects(rawValue: 1 << 12)
  /// Promises and acks of other views count.
  package static let untaggedBeats = Defects(rawValue: 1 << 13)
  /// A member that has promised to change the view goes on to beat and ack in it.
  package static let noWedge = Defects(rawValue: 1 << 14)
  /// A new member's stamps begin where its clock stands.
  package static let noFloor = Defects(rawValue: 1 << 15)
  /// An order of a void tail that is sent again takes effect although a cancel waits for its first dot.
  package static let resubmitsAfterCancel = Defects(rawValue: 1 << 16)
  /// An order of a void tail is sent again without its first dot.
  package static let forgetsFirstDot = Defects(rawValue: 1 << 17)
  /// What of a void tail was not sent again before a restart never is.
  package static let forgetsVoidTail = Defects(rawValue: 1 << 18)
  /// Nobody's word is passed on to those who do not hear it.
  package static let noRelay = Defects(rawValue: 1 << 19)
  /// A node goes by its own clock, however far it is from the others'.
  package static let ownClockAlone = Defects(rawValue: 1 << 20)
  /// Who starts from a snapshot does not know which fills wait to be published.
  package static let snapshotForgetsFills = Defects(rawValue: 1 << 21)
  /// Nobody looks whether the book in memory is what was hashed.
  package static let noScrub = Defects(rawValue: 1 << 22)
  /// A replica that knows its book to be wrong goes on taking orders.
  package static let servesWhileRebuilding = Defects(rawValue: 1 << 23)
  /// A book that was made anew is believed at once, whatever it was made of.
  package static let believesRebuild = Defects(rawValue: 1 << 24)
  /// Who attests another checkpoint is accused, whoever of the two is wrong.
  package static let accusesAtOnce = Defects(rawValue: 1 << 25)
  /// A book is called rebuilt as it is.
  package static let rebuildsNothing = Defects(rawValue: 1 << 26)

  /// Those of what a node does about damage. With any other one, a book is damaged by design, and nothing is done.
  package static let ofHealth: Defects = [
    .noScrub, .servesWhileRebuilding, .believesRebuild, .accusesAtOnce, .rebuildsNothing,
  ]
}
