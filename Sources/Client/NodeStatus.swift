#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// What a node says of itself, for people and dashboards; JSON on the wire, so that fields may be added.
public struct NodeStatus: Codable, Equatable, Sendable {
  public var name: String
  /// 64 hexadecimal digits.
  public var nodeID: String
  /// 64 hexadecimal digits.
  public var clusterID: String
  /// Place in the register of origins; nil for a node that is no member.
  public var origin: UInt32?
  public var view: UInt64
  /// Names of the view's members.
  public var members: [String] = []
  /// Between two views: nothing becomes final meanwhile.
  public var isWedged = false
  /// Since the node started.
  public var viewChanges: UInt64 = 0
  /// Entries wait because their stamps are too far ahead.
  public var quarantined = false
  /// Entries that were taken back, to be applied again, since the node started.
  public var undone: UInt64 = 0
  /// Entries held, of all origins.
  public var entries: UInt64
  public var orders: UInt64
  public var fills: UInt64
  /// Entries applied to the book.
  public var applied: UInt64
  /// Entries above the final key.
  public var tentative: UInt64
  /// Stamp up to which everything is final.
  public var finalStamp: UInt64
  /// Age of the oldest entry that is not final; 0 if all are.
  public var lagMilliseconds: Int64
  /// 64 hexadecimal digits.
  public var bookHash: String
  /// 64 hexadecimal digits.
  public var tradesHash: String
  /// By origin, the highest contiguous sequence held.
  public var vector: [UInt64]
  public var peers: [PeerStatus]
  public var uptimeSeconds: UInt64
  public var version: String
  /// Final entries that are not in the audit tables yet.
  public var auditLag: UInt64 = 0
  /// Entries known to exist elsewhere and not held here.
  public var missing: UInt64 = 0
  /// The newest snapshot on disk, and how many final entries it stands for; 0 while there is none.
  public var snapshotNumber: UInt64 = 0
  public var snapshotEntries: UInt64 = 0
  /// By origin, up to which sequence entries are not kept any more.
  public var logBase: [UInt64] = []
  public var restingOrders: UInt64 = 0
  /// Entries applied to the book, again or not, since the node started.
  public var applications: UInt64 = 0
  public var rollbacks: UInt64 = 0
  public var rollbackDepthMax: UInt64 = 0
  /// Digests with the same entries and another book; anything but 0 is an error.
  public var bookMismatches: UInt64 = 0
  /// Batches that came again.
  public var duplicateBatches: UInt64 = 0
  /// Takes orders.
  public var ready = false
  public var fsyncP50Microseconds: UInt64 = 0
  public var fsyncP99Microseconds: UInt64 = 0
  public var joinMutex = JoinMutexStatus()
  public var queues = QueueStatus()
  /// `sound`, `suspect`, `rebuilding` or `unreconciled`; in the latter two it serves nothing but this.
  public var health = "sound"
  /// Of the scrubber's present pass over the book, of 1,000; whole passes since the node started; and when the last one
  /// ended, in milliseconds since 1970, 0 before the first.
  public var scrubPerMille = 0
  public var scrubPasses: UInt64 = 0
  public var scrubEndedMilliseconds: UInt64 = 0
  /// What was found to be wrong: of what is kept, how much is open; in all; and the last one, in words.
  public var findingsOpen = 0
  public var findingsTotal: UInt64 = 0
  public var lastFinding = ""
  /// Names of the nodes from which an injected fault cuts this one off.
  public var cutFrom: [String] = []
  /// To members.
  public var bytesSent: UInt64 = 0
  public var messagesSent: UInt64 = 0
  /// When the view was entered, by this node's clock: microseconds since 1970.
  public var viewEnteredAt: UInt64 = 0
  /// What it has seen of other members and of views, oldest first; the newest 96.
  public var events: [NodeEvent] = []
  /// Times of 20 ms and more in which something waited and nothing became final, oldest first; the newest 64.
  public var pauses: [FinalityPause] = []

  public init(
    name: String, nodeID: String, clusterID: String, origin: UInt32?, view: UInt64, entries: UInt64, orders: UInt64,
    fills: UInt64, applied: UInt64, tentative: UInt64, finalStamp: UInt64, lagMilliseconds: Int64, bookHash: String,
    tradesHash: String, vector: [UInt64], peers: [PeerStatus], uptimeSeconds: UInt64, version: String
  ) {
    self.name = name
    self.nodeID = nodeID
    self.clusterID = clusterID
    self.origin = origin
    self.view = view
    self.entries = entries
    self.orders = orders
    self.fills = fills
    self.applied = applied
    self.tentative = tentative
    self.finalStamp = finalStamp
    self.lagMilliseconds = lagMilliseconds
    self.bookHash = bookHash
    self.tradesHash = tradesHash
    self.vector = vector
    self.peers = peers
    self.uptimeSeconds = uptimeSeconds
    self.version = version
  }
}

/// The join mutex as one member sees it.
public struct JoinMutexStatus: Codable, Equatable, Sendable {
  /// Node id, in 64 hexadecimal digits, of whom this member has lent its vote; nil if nobody.
  public var holder: String?
  public var heldMilliseconds: UInt64 = 0
  /// Leases under which somebody became a member, since the cluster began.
  public var grantsTotal: UInt64 = 0

  public init(holder: String? = nil, heldMilliseconds: UInt64 = 0, grantsTotal: UInt64 = 0) {
    self.holder = holder
    self.heldMilliseconds = heldMilliseconds
    self.grantsTotal = grantsTotal
  }
}

/// What waits in a node, and for what.
public struct QueueStatus: Codable, Equatable, Sendable {
  /// Entries that are held and not applied yet.
  public var unapplied: UInt64 = 0
  /// Effects that wait for a commit.
  public var uncommitted: UInt64 = 0
  /// Final entries that are not in the audit tables yet.
  public var audit: UInt64 = 0
  /// Bytes that the network has not taken yet, to all members.
  public var peerBytes: UInt64 = 0
  /// The same, to all clients.
  public var clientBytes: UInt64 = 0
  /// Reads that wait for something to become final.
  public var reads: UInt64 = 0

  public init() {}
}

/// Something that a node has seen.
public struct NodeEvent: Codable, Hashable, Sendable {
  public enum Kind: String, Codable, Sendable {
    /// A member did not answer, nor through others.
    case suspected
    case heardAgain = "heard_again"
    /// A member is to be sealed, as far as this node is concerned.
    case gaveUp = "gave_up"
    /// Beats and acks have stopped until the next view.
    case wedged
    case entered
    /// The view that was entered has a member that the one before had not.
    case added
    case removed
    /// This node is a member from here on.
    case joined
    /// This node is none any more.
    case sealed
  }
  public var kind: Kind
  /// Whom it concerns.
  public var origin: UInt32?
  /// In which view the node was, or was then.
  public var view: UInt64
  /// By the node's clock, microseconds since 1970.
  public var at: UInt64

  public init(kind: Kind, origin: UInt32?, view: UInt64, at: UInt64) {
    self.kind = kind
    self.origin = origin
    self.view = view
    self.at = at
  }
}

/// A time in which something waited and nothing became final.
public struct FinalityPause: Codable, Hashable, Sendable {
  /// By the node's clock, microseconds since 1970.
  public var from: UInt64
  public var microseconds: UInt64

  public init(from: UInt64, microseconds: UInt64) {
    self.from = from
    self.microseconds = microseconds
  }
}

/// What a node says of its connection to another member.
public struct PeerStatus: Codable, Equatable, Sendable {
  public var origin: UInt32
  public var name: String
  /// `host:port`; empty if not known.
  public var address: String
  public var connected: Bool
  /// Nil until measured.
  public var roundTripMicroseconds: UInt64?
  /// Bytes that wait to be sent to it.
  public var queuedBytes: UInt64

  public init(
    origin: UInt32, name: String, address: String, connected: Bool, roundTripMicroseconds: UInt64? = nil,
    queuedBytes: UInt64 = 0
  ) {
    self.origin = origin
    self.name = name
    self.address = address
    self.connected = connected
    self.roundTripMicroseconds = roundTripMicroseconds
    self.queuedBytes = queuedBytes
  }
}

extension ClientAnswer {
  /// The answer to a status query.
  /// - Returns: nil if the JSON is longer than `ClientLimits.jsonBytesMax`.
  public static func status(_ status: NodeStatus) -> ClientAnswer? { json(status).map { .status(json: $0) } }

  /// The answer to a query for peers.
  /// - Returns: nil if the JSON is longer than `ClientLimits.jsonBytesMax`.
  public static func peers(_ peers: [PeerStatus]) -> ClientAnswer? { json(peers).map { .peers(json: $0) } }

  /// The answer to a query for findings: the newest ones, as far as they fit.
  public static func findings(_ findings: [NodeFinding]) -> ClientAnswer? {
    for dropped in findings.indices {
      if let text = json(Array(findings[dropped...])) { return .findings(json: text) }
    }
    return json([NodeFinding]()).map { .findings(json: $0) }
  }

  private static func json(_ value: some Encodable) -> String? {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    guard let data = try? encoder.encode(value), data.count <= ClientLimits.jsonBytesMax else { return nil }
    return String(decoding: data, as: UTF8.self)
  }

  /// Reads JSON that a node sent.
  static func parse<Value: Decodable>(_ json: String, as type: Value.Type) throws(ClientError) -> Value {
    do {
      return try JSONDecoder().decode(type, from: Data(json.utf8))
    } catch {
      throw .protocolViolation("the answer's JSON does not read as \(type): \(error)")
    }
  }
}
