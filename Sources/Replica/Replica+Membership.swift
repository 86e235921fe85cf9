import EventLog
import Gossip
import Membership
import Primitives

/// What a replica knows of views besides the view change itself.
struct MembershipDesk: Sendable {
  /// Commits of the replica that the view change waits for.
  var commits: [(persist: PersistNumber, commit: CommitNumber)] = []
  private var durable: PersistNumber = 0
  /// Values whose base is not here yet.
  var bases: [(value: ViewValue, hash: Hash256)] = []
  /// Everything up to the base of the present view is on disk here. A disk may have lost some of it since the view was
  /// entered: then nothing is said and nothing becomes final before it is back.
  var holdsBase = true
  /// Where each origin's log ends for ever, by place; nil for one that may still grow.
  var cuts: [UInt64?] = []
  /// Of each origin, what is believed whatever its stamps: it is in a view's base.
  var believed: [UInt64] = []
  /// Of each origin, what was on disk at the start.
  var recovered: [Head] = []
  /// Members that failure detection has given up, and since when.
  var silent: [(member: OriginIndex, sinceMicroseconds: UInt64)] = []
  var nextProposalMicroseconds: UInt64 = 0
  private(set) var isLeaving = false
  var leaveDeadlineMicroseconds: UInt64?
  /// Some node has said in which view it is.
  var hasHeard = false
  /// As whom this node was sealed, until it has entered a view without that origin.
  var former: OriginIndex?
  var viewChanges: UInt64 = 0
  var leasesTaken: UInt64 = 0

  mutating func leave() { isLeaving = true }

  /// The commit after which something may be sent; 0 if it may be at once.
  func commit(of persist: PersistNumber) -> CommitNumber {
    persist <= durable ? 0 : commits.first { $0.persist >= persist }?.commit ?? 0
  }

  /// - Returns: the newest commit of the view change that is durable now, if it was not before.
  mutating func becameDurable(_ commit: CommitNumber) -> PersistNumber? {
    guard let newest = commits.last(where: { $0.commit <= commit })?.persist else { return nil }
    commits.removeAll { $0.commit <= commit }
    durable = max(durable, newest)
    return newest
  }
}

/// Who is there, who is given up, who wants in and who wants out.
extension Replica {
  /// Members propose to give somebody up one after the other: the first one's proposal mostly is enough.
  static let proposalStaggerMicroseconds: UInt64 = 20_000
  static let proposalPauseMicroseconds: UInt64 = 400_000
  static let viewNotePauseMicroseconds: UInt64 = 50_000
  /// A joiner that lacks more than this fetches first.
  static let joinMissingMax: UInt64 = 20_000
  /// Who was heard within this counts on those who are there to decide.
  static let hearingMicroseconds: UInt64 = 1_500_000
  /// How long a leaving member waits for its own entries to become final.
  static let leavePatienceMicroseconds: UInt64 = 1_000_000

  mutating func tickMembership(_ now: LogicalTime, _ effects: inout [Effect]) {
    let micros = now.monotonicMicroseconds
    detect(.tick, now, &effects)
    views.membersHeard = gossip.membersHeard(inLast: Self.hearingMicroseconds, nowMicroseconds: micros)
    change(.tick, now, &effects)
    if me == nil {
      askToJoin(now, &effects)
    } else {
      proposeRemovals(micros, now, &effects)
    }
  }

  // MARK: Failure detection

  mutating func detect(_ input: DetectorInput, _ now: LogicalTime, _ effects: inout [Effect]) {
    var actions: [DetectorAction] = []
    detector?.step(input, nowMicroseconds: now.monotonicMicroseconds, &actions)
    for action in actions {
      switch action {
      case .send(let member, let message):
        guard let key = register[member]?.publicKey, let peer = peers.peer(with: key) else { continue }
        effects.append(.send(to: peer, .detector(message), after: 0))
      case .suspected(let member): effects.append(.notice(.suspected(member)))
      case .refuted(let member), .alive(let member):
        membership.silent.removeAll { $0.member == member }
        change(.heardAgain(member), now, &effects)
        effects.append(.notice(.heardAgain(member)))
      case .gaveUp(let member, let evidence):
        effects.append(.notice(.gaveUp(member, evidence)))
        membership.silent.append((member, now.monotonicMicroseconds))
      }
    }
  }

  /// Asks for a view without those who were given up or whose stamps nobody believes, and without oneself if one
  /// leaves.
  private mutating func proposeRemovals(_ micros: UInt64, _ now: LogicalTime, _ effects: inout [Effect]) {
    membership.silent.removeAll { !view.contains($0.member) }
    guard let me, hasRecovered, !views.isWedged, !views.isBehind, micros >= membership.nextProposalMicroseconds,
      let rank = view.members.firstIndex(of: me)
    else { return }
    var removals: [OriginIndex] = []
    // Without a majority nothing can be decided: better to go on in this view until there is one again.
    if view.members.count - membership.silent.count >= view.majority {
      let stagger = UInt64(rank) * Self.proposalStaggerMicroseconds
      if membership.silent.contains(where: { micros >= $0.sinceMicroseconds + stagger }) {
        removals = membership.silent.map(\.member)
      }
    }
    if membership.isLeaving, view.members.count > 1, isReadyToLeave(me, micros) { removals.append(me) }
    if membership.isLeaving, view.members.count == 1 { effects.append(.left) }
    let expulsions = unbelieved(rank: rank, now)
    guard !removals.isEmpty || !expulsions.isEmpty else { return }
    membership.nextProposalMicroseconds = micros + Self.proposalPauseMicroseconds
    for origin in expulsions { effects.append(.notice(.unbelieved(origin))) }
    change(.propose(MembershipWish(removals: removals, expulsions: expulsions)), now, &effects)
  }

  private mutating func isReadyToLeave(_ me: OriginIndex, _ micros: UInt64) -> Bool {
    let deadline = membership.leaveDeadlineMicroseconds ?? micros + Self.leavePatienceMicroseconds
    membership.leaveDeadlineMicroseconds = deadline
    let log = sequencer.logs[me.int]
    return log.final == log.held.sequence && open.isEmpty && resubmitter.isDone || micros >= deadline
  }

  // MARK: Joining

  /// A node that is no member asks to become one, once it holds nearly everything.
  private mutating func askToJoin(_ now: LogicalTime, _ effects: inout [Effect]) {
    guard configuration.wantsMembership, hasRecovered, !membership.isLeaving, !views.isBehind, !snapshots.isNeeded,
      gossip.connectedMembers > 0, membership.hasHeard
    else { return }
    let held = VersionVector(sequencer.logs.map(\.held.sequence))
    guard gossip.missing(held: { held[$0] }) <= Self.joinMissingMax else { return }
    // A store that was admitted once never is again: what it held then may be in nobody's memory but its own.
    let token = views.joinToken(orElse: StoreToken(generator.next() | 1))
    change(.join(name: configuration.name, token: token), now, &effects)
  }

  // MARK: Views of others

  /// A peer has said in which view it is.
  mutating func noteView(
    _ number: UInt64, of peer: PeerIndex, isBeat: Bool, _ now: LogicalTime, _ effects: inout [Effect]
  ) {
    membership.hasHeard = true
    let isSame = number == views.knownView
    guard !isSame || isBeat && views.watchesNewcomers else { return }
    let micros = now.monotonicMicroseconds
    guard isSame || peers.mayNoteView(peer, nowMicroseconds: micros, pause: Self.viewNotePauseMicroseconds),
      let key = peers.key(of: peer)
    else { return }
    let name = peers.speaker(of: peer).map { ViewPeer.origin($0) } ?? .node(key)
    change(.heardView(from: name, view: number, isBeat: isBeat), now, &effects)
  }
}
