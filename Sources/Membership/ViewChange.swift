import EventLog
import Primitives

/// Numbers the commits that a view change asks for in one run of a node, from 1. 0 is what was on disk at the start.
public typealias PersistNumber = UInt64

/// What happens to a view change.
public enum ViewInput: Sendable {
  case message(SignedViewMessage)
  /// Every commit up to this one is on disk.
  case durable(PersistNumber)
  /// A member wants the next view to differ; what was wished is forgotten when the next view is entered.
  case propose(MembershipWish)
  /// Somebody who was to be removed is heard again: that wish is no longer one.
  case heardAgain(OriginIndex)
  /// The answer to `.wedged`, read after beats and acks have stopped; may be given again while wedged.
  case facts(ViewFacts)
  /// The answer to `.needsEntries`: each entry up to that value's base is durable here, and the checkpoint agrees.
  case holdsBase(valueHash: Hash256)
  /// A beat, or whatever else names its sender's view, was heard.
  case heardView(from: ViewPeer, view: UInt64, isBeat: Bool)
  /// Become a member, under this token of the own store: a new one if an origin of this store was sealed.
  case join(name: String, token: StoreToken)
  /// The own disk has lost what it had: be nobody, under a new token.
  case diskLost(token: StoreToken)
  /// At least every 10 ms.
  case tick
}

/// What a view change wants done, in this order.
public enum ViewEffect: Hashable, Sendable {
  /// Make these durable in one commit, then give `.durable`. Commits become durable in order.
  case persist(PersistNumber, [ViewRecord])
  /// MUST NOT be sent before that commit is durable.
  case send(to: ViewPeer, SignedViewMessage, afterPersist: PersistNumber)
  /// No beat and no ack of this view from here on, and no own entry counts as acked; then give `.facts`.
  case wedged(view: UInt64)
  /// Beats and acks may be sent again, in the view that was just entered.
  case unwedged(view: UInt64)
  /// Fetch what is missing up to the base of this value, make it durable, compare the checkpoint, then give
  /// `.holdsBase`. A later request does not replace an earlier one of another value.
  case needsEntries(ViewValue, valueHash: Hash256)
  /// A later view was decided; it is entered when its base is held.
  case decided(Decision)
  /// The commit in which a view is entered: it also has to void what sealed origins wrote past their base.
  case entering(Decision, PersistNumber)
  /// The commit is durable. `me` is nil for an observer.
  case entered(View, me: OriginIndex?)
  /// This node is not a member any more: no orders, beats, acks or votes from here on.
  case sealed(OriginIndex, Decision)
  /// The join mutex is held under this ballot.
  case leaseTaken(LeaseBallot)
}

/// The way from one view to the next: wedge, decide, flush; and the way in and out.
///
/// Single-decree Paxos among the members of a view decides on its successor. Values in, effects out; no clock, no disk,
/// no network.
///
/// ```
/// PREPARE(v, b)      → wedged: beats and acks stop; promise durable; PROMISE with what is held and promised
/// ACCEPT(v, b, x)    → base of x held here; promise and x durable; ACCEPTED, signed
/// majority ACCEPTED  → DECIDED with the signatures; whoever has it shows it to those who are behind
/// DECIDED            → base held; view durable; beats and acks start in v + 1
/// ```
/// A promise that is durable wedges, also after a restart. Who is wedged for 200 ms proposes by itself.
/// Source: DESIGN 7; Lamport, "Paxos Made Simple", 2001; the rules are those that `Tests/Model` checks.
public struct ViewChange: Sendable {
  public struct Configuration: Sendable {
    public var cluster: Hash256
    public var seed: UInt64
    /// This store has never promised anything: no vote of it for a joiner can be out.
    public var isFirstStart = false
    package var defects: ViewDefects = []
    public init(cluster: Hash256, seed: UInt64) {
      self.cluster = cluster
      self.seed = seed
    }
  }

  let configuration: Configuration
  let signatures: any Signatures
  /// As they will be on disk once all commits asked for are durable.
  var records: ViewRecords
  /// The member that this node is in `view`.
  public internal(set) var me: OriginIndex?
  /// The view that was entered last; durable.
  public internal(set) var view: View
  var generator: SeededGenerator
  var hasStarted = false

  // Commits
  var lastPersist: PersistNumber = 0
  var durable: PersistNumber = 0
  /// Own messages to oneself wait for their commits as others' do.
  var loopback: [(message: ViewMessage, after: PersistNumber)] = []

  // Voting
  public internal(set) var isWedged = false
  var facts: ViewFacts?
  var promisePersist: PersistNumber = 0
  var acceptedPersist: PersistNumber = 0
  /// Who waits for a PROMISE of the promised ballot.
  var owedPromise: OriginIndex?
  var pendingAccept: PendingAccept?
  /// Values whose base is known to be held here: of this view's successors.
  var heldValues: [Hash256] = []

  // Proposing
  var proposal: Proposal?
  var wish = MembershipWish()
  /// The lease under which the wish admits somebody.
  var fence: LeaseBallot?
  /// Highest round that anybody has used in this view.
  var roundSeen: UInt64 = 0
  var attempts: UInt64 = 0
  var wedgeDeadline: UInt64?
  /// Members that are there to be heard now, this one among them, as far as whoever runs this can tell.
  ///
  /// Without a majority no ballot is begun: it would decide nothing, and wedge those few that it reaches.
  public var membersHeard = Int.max

  // Learning
  /// The newest decision that is not entered yet.
  var target: Decision?
  var entering: (persist: PersistNumber, decision: Decision, identity: OriginIndex?)?

  // Joining
  var mutex: JoinMutex
  var joiner: Joiner?
  /// New members that have not beaten yet, and when to give them up.
  var probation: [(member: OriginIndex, untilMicroseconds: UInt64)] = []
  /// Since when this node is wedged, and how long changes of views take here of late. Where deciding on a member is
  /// slow, so is its first beat.
  var wedgedSinceMicroseconds: UInt64?
  var changeMicroseconds: UInt64 = 0

  struct PendingAccept: Sendable {
    var ballot: Ballot
    var value: ViewValue
    var hash: Hash256
    var from: OriginIndex
  }

  struct Proposal: Sendable {
    var ballot: Ballot
    var fence: LeaseBallot?
    /// Who has granted a later lease than the one that this ballot stands under.
    var fencedBy: [OriginIndex] = []
    var promises: [(member: OriginIndex, facts: ViewFacts, accepted: ViewMessage.Accepted?)] = []
    var value: ViewValue?
    var valueHash = Hash256.zero
    var votes: [Certificate.Vote] = []
    var startedMicroseconds: UInt64
    var resendAtMicroseconds: UInt64
  }

  /// - Parameter records: what the disk holds, after a start or a restart.
  public init(configuration: Configuration, signatures: any Signatures, records: ViewRecords) {
    self.configuration = configuration
    self.signatures = signatures
    self.records = records
    view = records.view.value.view
    me = records.origin(publicKey: signatures.publicKey)
    if configuration.defects.contains(.ignoresToken), me == nil {
      me = records.view.value.member(publicKey: signatures.publicKey, token: .none, .ignoresToken)?.origin
    }
    generator = SeededGenerator(seed: configuration.seed)
    mutex = JoinMutex(nowMicroseconds: 0, hasRestarted: false)
    isWedged = me != nil && records.promise?.view == view.number
  }

  /// Takes one input; appends what must happen, in order.
  /// - Parameter now: logical time that never decreases from one step to the next.
  public mutating func step(_ input: ViewInput, nowMicroseconds now: UInt64, _ effects: inout [ViewEffect]) {
    if !hasStarted { start(now, &effects) }
    switch input {
    case .message(let signed): receive(signed, now, &effects)
    case .durable(let persist):
      precondition(persist <= lastPersist, "a commit that was not asked for")
      durable = max(durable, persist)
      finishEntering(now, &effects)
    case .propose(let change): propose(change, fence: nil, now, &effects)
    case .heardAgain(let member): wish.removals.removeAll { $0 == member }
    case .facts(let facts):
      if isWedged, me != nil, entering == nil {
        self.facts = facts
        answerPrepare(now, &effects)
      }
    case .holdsBase(let hash): holdsBase(hash, now, &effects)
    case .heardView(let peer, let number, let isBeat): heardView(peer, number, isBeat: isBeat, &effects)
    case .join(let name, let token): join(name: name, token: token, now, &effects)
    case .diskLost(let token):
      becomeNobody()
      entering?.identity = nil
      persist([.store(token)], &effects)
    case .tick: tick(now, &effects)
    }
    runLoopback(now, &effects)
    if isWedged, wedgedSinceMicroseconds == nil { wedgedSinceMicroseconds = now }
  }

  private mutating func start(_ now: UInt64, _ effects: inout [ViewEffect]) {
    hasStarted = true
    mutex = JoinMutex(nowMicroseconds: now, hasRestarted: !configuration.isFirstStart, configuration.defects)
    if let promise = promised { roundSeen = promise.round }
    if isWedged {
      effects.append(.wedged(view: view.number))
      rearm(now)
    }
  }

  // MARK: Reading

  /// The value of the view that was entered last.
  public var value: ViewValue { records.view.value }
  public var decision: Decision { records.view }
  public var register: Register { value.register }
  /// Whether a later view is decided that this node has not entered.
  public var isBehind: Bool { target != nil || entering != nil }

  /// The newest decision that is known, entered or not.
  public var newestKnown: Decision { target ?? records.view }
  /// The newest view that is known to be decided.
  public var knownView: UInt64 { (target ?? records.view).number }
  /// Whether there are members of whom no beat has come yet.
  public var watchesNewcomers: Bool { !probation.isEmpty }

  /// Under which token to ask for membership: the store's own, unless it was admitted under that before.
  public func joinToken(orElse fresh: StoreToken) -> StoreToken {
    if let joiner { return joiner.token }
    let isUsed = records.store == .none || records.identity?.token == records.store
    return isUsed ? fresh : records.store
  }

  /// The fencing token under which this node holds the join mutex now.
  public func heldLease(nowMicroseconds now: UInt64) -> LeaseBallot? { joiner?.held(nowMicroseconds: now) }
  /// Whose lease this member's vote backs now.
  public func leaseHolder(nowMicroseconds now: UInt64) -> LeaseBallot? { mutex.holder(nowMicroseconds: now) }
  /// For how long, in microseconds.
  public func leaseHeldMicroseconds(nowMicroseconds now: UInt64) -> UInt64 {
    mutex.heldMicroseconds(nowMicroseconds: now)
  }

  // MARK: Parts of it

  var defects: ViewDefects { configuration.defects }

  /// The ballot promised in this view.
  var promised: Ballot? { records.promise?.view == view.number ? records.promise?.ballot : nil }

  /// What was accepted in this view.
  var accepted: AcceptedRecord? { records.accepted?.view == view.number ? records.accepted : nil }

  /// Whether a ballot has any prospect.
  var hearsMajority: Bool { membersHeard >= view.majority || defects.contains(.proposesAlone) }

  /// Whether this node may vote and propose in its view.
  var isVoting: Bool { me != nil && entering == nil }

  func rank(of member: OriginIndex) -> UInt32? {
    view.members.firstIndex(of: member).map { UInt32($0) }
  }

  mutating func persist(_ changes: [ViewRecord], _ effects: inout [ViewEffect]) {
    lastPersist += 1
    // A view's record counts once it is durable, see `finishEntering`.
    for change in changes where change.key != .view && change.key != .identity { records.restore(change) }
    effects.append(.persist(lastPersist, changes))
  }

  mutating func send(
    _ message: ViewMessage, to peer: ViewPeer, after persist: PersistNumber = 0, _ effects: inout [ViewEffect]
  ) {
    if let me, peer == .origin(me) { return loopback.append((message, persist)) }
    let sender: ViewPeer = me.map { .origin($0) } ?? .node(signatures.publicKey)
    let signed = SignedViewMessage(
      sender: sender, message, cluster: configuration.cluster, signatures: signatures)
    effects.append(.send(to: peer, signed, afterPersist: persist))
  }

  private mutating func runLoopback(_ now: UInt64, _ effects: inout [ViewEffect]) {
    while let me, let place = loopback.firstIndex(where: { $0.after <= durable }) {
      let message = loopback.remove(at: place).message
      dispatch(message, from: .origin(me), now, &effects)
    }
  }

  /// Forgets all that belongs to one view.
  mutating func leaveView() {
    isWedged = false
    wedgedSinceMicroseconds = nil
    facts = nil
    promisePersist = 0
    acceptedPersist = 0
    owedPromise = nil
    pendingAccept = nil
    heldValues.removeAll()
    proposal = nil
    wish = MembershipWish()
    fence = nil
    roundSeen = 0
    // Where the last change took long, the next one will.
    attempts /= 2
    wedgeDeadline = nil
    loopback.removeAll()
  }

  mutating func becomeNobody() {
    leaveView()
    me = nil
    probation.removeAll()
  }

  // MARK: Messages

  private mutating func receive(_ signed: SignedViewMessage, _ now: UInt64, _ effects: inout [ViewEffect]) {
    // A decision proves itself.
    if case .decided(let decision) = signed.message {
      guard decision.number > max(view.number, target?.number ?? 0),
        decision.isValid(after: value, cluster: configuration.cluster, signatures: signatures, defects)
      else { return }
      return learn(decision, now, &effects)
    }
    let key: PublicKey
    switch signed.sender {
    case .node(let publicKey): key = publicKey
    case .origin(let origin):
      guard let registered = register[origin] else {
        // Admitted by a view that this node does not know yet.
        return heardView(signed.sender, signed.message.view, isBeat: false, &effects)
      }
      key = registered.publicKey
    }
    guard signed.isValid(cluster: configuration.cluster, key: key, signatures: signatures) else { return }
    guard signed.message.view == view.number else {
      switch signed.message {
      case .nack, .grant, .denied, .release:
        if signed.message.view < view.number { return }
      case .prepare, .promise, .accept, .accepted, .decided, .ask, .lease, .join: break
      }
      return heardView(signed.sender, signed.message.view, isBeat: false, &effects)
    }
    dispatch(signed.message, from: signed.sender, now, &effects)
  }

  /// - Precondition: the message is of this node's view, and of that sender.
  private mutating func dispatch(
    _ message: ViewMessage, from sender: ViewPeer, _ now: UInt64, _ effects: inout [ViewEffect]
  ) {
    switch message {
    case .prepare(_, let ballot, let fence):
      guard let (origin, rank) = voter(sender), rank == ballot.rank else { return }
      prepare(ballot, fence: fence, from: origin, now, &effects)
    case .promise(_, let ballot, let facts, let accepted):
      guard let (origin, _) = voter(sender) else { return }
      promise(ballot, facts, accepted, from: origin, now, &effects)
    case .nack(_, let ballot, let promised, let fence):
      guard let (origin, _) = voter(sender) else { return }
      refused(ballot, promised: promised, fence: fence, by: origin)
    case .accept(_, let ballot, let value):
      guard let (origin, rank) = voter(sender), rank == ballot.rank else { return }
      accept(ballot, value, from: origin, now, &effects)
    case .accepted(_, let ballot, let hash, let vote):
      guard let (origin, _) = voter(sender) else { return }
      voted(ballot, hash, vote, by: origin, now, &effects)
    case .ask, .decided: break
    case .lease(_, let ballot): requestLease(ballot, from: sender, now, &effects)
    case .grant(_, let ballot, let vote):
      guard case .origin(let origin) = sender, view.contains(origin) else { return }
      leaseGranted(ballot, vote, by: origin, now, &effects)
    case .denied(_, let ballot, let highest, let left):
      guard case .origin(let origin) = sender, view.contains(origin) else { return }
      leaseDenied(ballot, highest: highest, leftMicroseconds: left, by: origin, now, &effects)
    case .release(_, let ballot):
      if isVoting, nodeID(of: sender) == ballot.node { mutex.release(ballot) }
    case .join(_, let ballot, let name, let token, let certificate):
      sponsor(ballot, name: name, token: token, certificate, from: sender, now, &effects)
    }
  }

  /// The member that has sent something, if this node votes with it.
  private func voter(_ sender: ViewPeer) -> (OriginIndex, rank: UInt32)? {
    guard isVoting, case .origin(let origin) = sender, let rank = rank(of: origin) else { return nil }
    return (origin, rank)
  }

  /// Shows the newest decision to one who is behind, asks one who is ahead.
  mutating func heardView(_ peer: ViewPeer, _ number: UInt64, isBeat: Bool, _ effects: inout [ViewEffect]) {
    if isBeat, case .origin(let origin) = peer, number == view.number {
      probation.removeAll { $0.member == origin }
    }
    let known = target ?? records.view
    if number < known.number {
      send(.decided(known), to: peer, &effects)
    } else if number > known.number {
      send(.ask(view: known.number), to: peer, &effects)
    }
  }

  // MARK: Time

  private mutating func tick(_ now: UInt64, _ effects: inout [ViewEffect]) {
    if isVoting {
      resend(now, &effects)
      if let deadline = wedgeDeadline, now >= deadline { endWedge(now, &effects) }
      giveUpSilentNewcomers(now, &effects)
    } else if me == nil {
      tickJoiner(now, &effects)
    }
  }

  /// Starts the wait for the end of a wedge again: something has happened.
  mutating func rearm(_ now: UInt64) {
    guard let me, let rank = rank(of: me), isWedged else { return }
    // Where answers take long, taking over early only makes the change begin again, without whom it was to admit.
    let patience = min(max(ViewLimits.wedgeMicroseconds, changeMicroseconds / 2), ViewLimits.wedgeMicrosecondsMax)
    let base =
      patience + min(UInt64(rank), ViewLimits.ranksStaggeredMax) * ViewLimits.wedgeMicrosecondsPerRank
    let doublings = min(attempts, ViewLimits.wedgeDoublingsMax)
    wedgeDeadline = now + (base + generator.below(ViewLimits.wedgeJitterMicroseconds)) << doublings
  }
}
