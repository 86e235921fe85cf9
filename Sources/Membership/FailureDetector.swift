import EventLog
import Primitives

/// What a failure detector is told.
public enum DetectorInput: Equatable, Sendable {
  /// Comes at least every 50 ms. What is missing between two of them was overslept.
  case tick
  /// Anything at all came over the member's own link. What others relayed of it does not count.
  case heard(OriginIndex)
  /// What another member's detector says; includes `heard`.
  case message(from: OriginIndex, DetectorMessage)
  case linkUp(OriginIndex)
  case linkDown(OriginIndex)
  /// Nobody listens where the member said it does.
  case dialRefused(OriginIndex)
}

/// What a failure detector wants done, and what it has found out.
public enum DetectorAction: Equatable, Sendable {
  case send(to: OriginIndex, DetectorMessage)
  /// A probe of the member failed, directly and through others.
  case suspected(OriginIndex)
  /// A suspect says that it lives.
  case refuted(OriginIndex)
  /// A suspect, or a member that had been given up, was heard again.
  case alive(OriginIndex)
  /// The verdict. It proposes; only a decided view changes membership.
  case gaveUp(OriginIndex, DetectorEvidence)
}

/// On what a verdict rests.
public struct DetectorEvidence: Hashable, Sendable {
  /// Time awake since the member was last heard.
  public var silenceMicroseconds: UInt64
  /// Other members that could not reach it either.
  public var confirmations: Int
  /// Its link was closed, and a new one refused.
  public var isRefused: Bool
  /// Score of the accuser, 0 for healthy.
  public var localHealth: Int
}

/// A failure detector for the members of a view: who is silent, who is suspected, and who is to be given up.
///
/// SWIM with Lifeguard's extensions, over links that carry heartbeats anyway:
///
/// 1. A member silent for 300 ms is pinged; without an ack in 150 ms, three others are asked to ping it; without an ack
///    from them in 150 ms it is a suspect, and a rumour says so. A closed link skips the first step.
/// 2. A suspect is given up after 1.5 s of silence if three others suspect it too, after 3 s if none does, in between
///    by the logarithm of their number; after 0.5 to 1 s if its link was closed and a new one refused. Others' word
///    only shortens the wait: nobody is given up by a detector that hears it.
/// 3. A member that learns of a suspicion against itself outdoes it with a higher number. Pings to a suspect carry the
///    suspicion, so that it learns first (Lifeguard's buddy system).
/// 4. Local health: what this process overslept counts in no deadline, and with signs of its own slowness all times
///    grow up to fivefold; twofold more while many members are silent at once, which is more often this side than
///    them. A member that came back from a long silence is given half as much again the next time.
///
/// A member that stalls for more than 1.3 s, with a link that stays open and nothing else amiss anywhere, cannot be
/// told from a dead one in 1.5 s and is given up.
///
/// Values in, effects out. Messages: none while all are heard, at most `messagesPerSecondMax` otherwise.
///
/// Sources: Das, Gupta, Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group Membership Protocol",
/// 2002; Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness for More Accurate Failure Detection", 2018.
public struct FailureDetector: Sendable {
  public let me: OriginIndex
  public let configuration: DetectorConfiguration
  /// Number of the view whose members are watched.
  public internal(set) var view: UInt64

  /// By origin, ascending, `me` among them if it is a member.
  var records: [MemberRecord] = []
  /// A member's place in `records` by the value of its origin; -1 for nobody.
  private var places: [Int] = []
  var clock = AwakeClock()
  var health = LocalHealth()
  var rumours = RumourQueue()
  var errands: [Errand] = []
  var generator: SeededGenerator
  /// How often this process has refuted.
  var refutations: UInt32 = 0
  var sequence: UInt64 = 0
  /// Monotonic time of the input at hand, and the time awake then.
  var now: UInt64 = 0
  var awake: UInt64 = 0
  /// Nothing is due before this time awake.
  var nextScanMicroseconds: UInt64 = 0
  var nextGossipMicroseconds: UInt64 = 0
  /// The last tick was late, and what had arrived meanwhile was not read yet.
  var skippedScan = false
  /// Many are silent at once.
  var isCrowdSilent = false

  /// - Precondition: at most `Limits.membersMax` members.
  public init(
    me: OriginIndex, view: View, configuration: DetectorConfiguration = DetectorConfiguration(), seed: UInt64
  ) {
    self.me = me
    self.configuration = configuration
    self.view = view.number
    generator = SeededGenerator(seed: seed)
    fill(view, graceMicroseconds: configuration.bootMicroseconds)
  }

  /// Goes over to another view. What is known of members of both is kept.
  public mutating func setMembers(_ view: View) {
    guard view.number != self.view else { return }
    self.view = view.number
    fill(view, graceMicroseconds: 0)
    rumours = RumourQueue()
    errands = errands.filter { place($0.subject) != nil && place($0.requester) != nil }
    nextScanMicroseconds = 0
    // Rumours count only in their view.
    for record in records where record.state == .suspected {
      rumours.add(.suspect(record.origin, refutations: record.refutations, accuser: me))
    }
    if refutations > 0 { rumours.add(.refute(me, refutations: refutations)) }
  }

  private mutating func fill(_ view: View, graceMicroseconds grace: UInt64) {
    precondition(view.members.count <= Limits.membersMax)
    records = view.members.map { member in
      if let place = place(member) { return records[place] }
      return MemberRecord(origin: member, heardMicroseconds: awake + grace, nowMicroseconds: now)
    }
    places = Array(repeating: -1, count: view.members.last.map { $0.int + 1 } ?? 0)
    for (place, record) in records.enumerated() { places[record.origin.int] = place }
  }

  func place(_ member: OriginIndex) -> Int? {
    guard member.int < places.count else { return nil }
    let place = places[member.int]
    return place < 0 ? nil : place
  }

  /// Takes one input.
  /// - Parameters:
  ///   - nowMicroseconds: of a clock that never goes back.
  ///   - actions: what is to be done is appended, in order.
  public mutating func step(
    _ input: DetectorInput, nowMicroseconds: UInt64, _ actions: inout [DetectorAction]
  ) {
    now = max(now, nowMicroseconds)
    awake = clock.time(nowMicroseconds: now, gapMax: configuration.tickGapMicrosecondsMax)
    switch input {
    case .tick: tick(&actions)
    case .heard(let member):
      if let place = other(member) { hear(place, &actions) }
    case .message(let member, let message):
      if let place = other(member) { receive(message, from: place, &actions) }
    case .linkUp(let member):
      guard let place = other(member) else { return }
      // What it was silent for without a link says nothing of how slow it is.
      records[place].slackMicroseconds = 0
      records[place].isLinkUp = true
      records[place].isRefused = false
      hear(place, &actions)
    case .linkDown(let member):
      guard let place = other(member), records[place].isLinkUp else { return }
      records[place].isLinkUp = false
      records[place].isRefused = false
      records[place].probe = .resting(untilMicroseconds: 0)
      nextScanMicroseconds = 0
    case .dialRefused(let member):
      guard let place = other(member), !records[place].isLinkUp else { return }
      records[place].isRefused = true
      nextScanMicroseconds = 0
    }
  }

  /// The place of a member that is not this process.
  private func other(_ member: OriginIndex) -> Int? { member == me ? nil : place(member) }

  /// What a member sends in the worst second, when everybody is silent to everybody else.
  ///
  /// With n members and 3 relays: 11 (n - 1) for own probes (two pings and three requests each 450 ms), 5 (n - 1) acks
  /// of pings, 14 (n - 1) for requests of others (a ping and an ack each), 60 of rumours.
  public static func messagesPerSecondMax(members: Int) -> Int { 60 + 30 * max(0, members - 1) }

  // MARK: Evidence of life

  /// A member was heard over its own link.
  mutating func hear(_ place: Int, _ actions: inout [DetectorAction]) {
    // What was read of a link that is closed by now makes no new one.
    if records[place].heardNowMicroseconds == nil { records[place].isLinkUp = true }
    records[place].heardNowMicroseconds = now
    learn(place, heardMicroseconds: awake, isRefutation: false, &actions)
    if !errands.isEmpty { fulfilErrands(for: records[place].origin, &actions) }
  }

  /// A member lived at `heard`, in time awake.
  mutating func learn(
    _ place: Int, heardMicroseconds heard: UInt64, isRefutation: Bool, _ actions: inout [DetectorAction]
  ) {
    let before = records[place]
    guard before.isUnheard || heard >= before.heardMicroseconds else { return }
    records[place].heardMicroseconds = heard
    records[place].isUnheard = false
    if before.state == .alive, before.isResting, before.isLinkUp { return }
    // A cut link is probed through others, again and again.
    let pause = before.isLinkUp ? 0 : awake + configuration.probeAfterMicroseconds
    records[place].probe = .resting(untilMicroseconds: pause)
    nextScanMicroseconds = 0
    guard before.state != .alive else { return }
    let silence = heard - min(heard, before.heardMicroseconds)
    if before.state == .suspected, silence <= configuration.silenceMicrosecondsMax {
      records[place].slackMicroseconds = max(slack(of: before), silence)
      records[place].slackSinceMicroseconds = awake
    }
    // A suspicion that was wrong: stalls are abroad.
    if before.state == .suspected, health.score == 0 {
      health.rise(by: 1, max: configuration.localHealthMax, nowMicroseconds: awake)
    }
    records[place].turn(.alive, nowMicroseconds: now)
    rumours.removeAll { $0.isAccusation(of: before.origin, by: me) }
    actions.append(isRefutation ? .refuted(before.origin) : .alive(before.origin))
  }

  func silence(of place: Int) -> UInt64 { awake - min(awake, records[place].heardMicroseconds) }

  // MARK: Judgement

  /// Confirmations that bring a suspicion's time to its minimum: not more than there are others to give them.
  var confirmationsWanted: Int {
    max(0, min(configuration.confirmations, records.count / 2, records.count - 2))
  }

  /// By how much times grow now.
  var multiplier: UInt64 { UInt64(health.score + 1) * (isCrowdSilent ? 2 : 1) }

  private func slack(of record: MemberRecord) -> UInt64 {
    let isRemembered = awake < record.slackSinceMicroseconds + configuration.slackMemoryMicroseconds
    return isRemembered ? record.slackMicroseconds : 0
  }

  /// The silence after which a suspect is given up.
  func patience(with place: Int) -> UInt64 {
    let record = records[place]
    let confirmations = record.confirmations(besides: me)
    let least = max(configuration.silenceMicrosecondsMin, slack(of: record) * 3 / 2)
    let silence = SuspicionTimeout.microseconds(
      confirmations: confirmations, wanted: confirmationsWanted, min: least,
      max: max(least, configuration.silenceMicrosecondsMax))
    let scaled = min(silence * multiplier, configuration.silenceMicrosecondsCeiling)
    guard record.isRefused else { return scaled }
    let refused = SuspicionTimeout.microseconds(
      confirmations: confirmations, wanted: confirmationsWanted, min: configuration.refusedMicrosecondsMin,
      max: configuration.refusedMicrosecondsMax)
    return min(scaled, refused)
  }

  mutating func giveUp(_ place: Int, _ actions: inout [DetectorAction]) {
    let evidence = DetectorEvidence(
      silenceMicroseconds: silence(of: place), confirmations: records[place].confirmations(besides: me),
      isRefused: records[place].isRefused, localHealth: health.score)
    records[place].turn(.gone, nowMicroseconds: now)
    actions.append(.gaveUp(records[place].origin, evidence))
  }
}
