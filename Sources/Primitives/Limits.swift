/// Every bound on a queue, a frame, a batch or a value, in one place. Units are in the names.
public enum Limits {
  // Values
  public static let priceTicksMax: Int64 = 1 << 62
  public static let quantityLotsMax: Int64 = 1 << 62
  /// Slices in which an iceberg may show its quantity. An order that meets many icebergs goes through all of them.
  public static let icebergSlicesMax: Int64 = 1_000
  public static let symbolBytesMax = 16
  public static let clientOrderIDBytesMax = 36
  public static let instrumentsMax = 4_096
  public static let originsMax = 65_536
  public static let membersMax = 128

  // Log
  public static let batchEntriesMax = 4_096
  public static let batchBytesMax = 256 * 1024
  /// Entries that may be applied, or wait to be applied, above the final key; beyond it orders are refused.
  public static let tentativeEntriesMax = 1_000_000
  /// Client order ids are remembered for this long, in stamp time.
  public static let clientOrderIDWindowMilliseconds: UInt64 = 600_000
  /// And at most this many of them.
  public static let clientOrderIDsMax = 1_000_000
  /// Names of one order: its client order id, a dot that it had before, dots of repeats. Further ones lead nowhere.
  public static let namesPerOrderMax = 16

  /// Entries of a void tail that are looked at in one turn.
  public static let resubmittedPerTurnMax = 2_048
  /// Void tails that wait to be sent again: a node that is sealed again and again before it is done has several.
  public static let voidTailsMax = 1_024

  // Attestations
  /// Entries of one turn that a node publishes on its own: fills and attestations of checkpoints.
  public static let publishedPerTurnMax = 1_024
  /// Derived fills that wait for their entries, of all homes; beyond it the oldest of a home are not compared any more.
  public static let unpublishedFillsMax = 1_000_000
  /// Published fills of a home that are remembered, to tell a repetition from a mistake; and how far a fill may come
  /// out of turn.
  public static let comparedFillsMax = 4_096
  /// Checkpoints that wait to be attested; beyond it the oldest are passed over, since a later one vouches for them.
  public static let unattestedCheckpointsMax = 256

  // Snapshots
  /// Bytes of a piece, which is what one frame carries and one row of a store holds.
  public static let snapshotPieceBytes = 128 * 1024
  /// Bytes of a whole snapshot.
  public static let snapshotBytesMax = 1 << 30
  /// How many a node keeps: should one be damaged, there is another.
  public static let snapshotGenerations = 2
  /// And one more, while the audit tables lack what the others stand for.
  public static let snapshotsMax = 3

  // Clocks
  /// A stamp further ahead of the node's time than this is quarantined.
  public static let stampAheadMillisecondsMax: UInt64 = 500

  // Frames
  public static let handshakeFrameBytesMax = 4 * 1024
  public static let peerFrameBytesMax = 1024 * 1024
  public static let clientFrameBytesMax = 256 * 1024
  public static let requestsPerFrameMax = 4_096
  public static let addressBytesMax = 255
  public static let reasonBytesMax = 255
  public static let nameBytesMax = 32

  // Queues
  /// Bytes that may wait unsent for one peer before pushes to it stop; it is served from the log later.
  public static let peerQueueBytesMax = 4 * 1024 * 1024
  /// Bytes that may wait unsent for one client before it is dropped.
  public static let clientQueueBytesMax = 16 * 1024 * 1024
  /// Requests that the client library leaves unanswered on a connection; more wait on its side.
  public static let clientRequestsInFlightMax = 65_536
  /// Bytes of batches that one delta may carry in a round.
  public static let deltaBytesPerRoundMax = 1024 * 1024
  /// Batches that wait for an earlier one of their origin.
  public static let orphanBatchesPerOriginMax = 256
  public static let connectionsMax = 1_024
  public static let peerAddressesMax = 256
}
