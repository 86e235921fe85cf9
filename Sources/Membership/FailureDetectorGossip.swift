import EventLog
import Primitives

extension DetectorUpdate {
  func isAccusation(of member: OriginIndex, by speaker: OriginIndex) -> Bool {
    switch self {
    case .suspect(let subject, _, let accuser): subject == member && accuser == speaker
    case .refute: false
    }
  }
}

extension FailureDetector {
  // MARK: Out

  /// How often a rumour is passed on by a member.
  private var transmissions: Int {
    configuration.transmissionsPerLog * SuspicionTimeout.ceilingOfLog2(membersAndOne: records.count + 1)
  }

  /// - Parameter about: a member whose suspicion, if there is one, goes along before other rumours.
  mutating func send(
    _ kind: DetectorMessage.Kind, to member: OriginIndex, about place: Int? = nil, _ actions: inout [DetectorAction]
  ) {
    var updates: [DetectorUpdate] = []
    if let place, let accuser = records[place].state == .alive ? records[place].accuser : me {
      let record = records[place]
      updates.append(.suspect(record.origin, refutations: record.refutations, accuser: accuser))
    }
    let room = DetectorLimits.updatesPerMessageMax - updates.count
    for update in rumours.take(room, transmissions: transmissions) where !updates.contains(update) {
      updates.append(update)
    }
    actions.append(.send(to: member, DetectorMessage(view: view, kind: kind, updates: updates)))
  }

  /// Passes rumours on to a few members at random.
  mutating func gossip(_ actions: inout [DetectorAction]) {
    guard !rumours.isEmpty, awake >= nextGossipMicroseconds else { return }
    nextGossipMicroseconds = awake + configuration.gossipMicroseconds
    var candidates = records.indices.filter {
      records[$0].origin != me && records[$0].isLinkUp && records[$0].state != .gone
    }
    for _ in 0..<min(configuration.gossipFanout, candidates.count) where !rumours.isEmpty {
      let target = candidates.remove(at: Int(generator.below(UInt64(candidates.count))))
      send(.rumours, to: records[target].origin, &actions)
    }
  }

  // MARK: In

  mutating func receive(_ message: DetectorMessage, from place: Int, _ actions: inout [DetectorAction]) {
    let sender = records[place].origin
    hear(place, &actions)
    if message.view == view {
      for update in message.updates.prefix(DetectorLimits.updatesPerMessageMax) {
        switch update {
        case .suspect(let subject, let number, let accuser):
          suspect(subject, number, accuser: accuser, from: sender, &actions)
        case .refute(let subject, let number): refute(subject, number, &actions)
        }
      }
    }
    switch message.kind {
    case .ping(let sequence):
      send(.ack(sequence: sequence, subject: me, ageMilliseconds: 0), to: sender, &actions)
    case .pingRequest(let sequence, let subject):
      runErrand(for: sender, sequence: sequence, subject: subject, &actions)
    case .ack(let sequence, let subject, let age):
      if subject != sender { answer(sequence, subject, ageMilliseconds: age, &actions) }
    case .rumours: break
    }
  }

  /// A relay's answer.
  private mutating func answer(
    _ sequence: UInt64, _ subject: OriginIndex, ageMilliseconds age: UInt64?, _ actions: inout [DetectorAction]
  ) {
    guard let place = place(subject), case .indirect(var probe) = records[place].probe, probe.sequence == sequence
    else { return }
    probe.answered += 1
    records[place].probe = .indirect(probe)
    guard let age else { return }
    // The relay cannot have heard it earlier than that: it was asked then, or later.
    let heard = probe.startedMicroseconds - min(probe.startedMicroseconds, age * 1_000)
    learn(place, heardMicroseconds: heard, isRefutation: false, &actions)
  }

  private mutating func suspect(
    _ subject: OriginIndex, _ number: UInt32, accuser: OriginIndex, from sender: OriginIndex,
    _ actions: inout [DetectorAction]
  ) {
    guard place(accuser) != nil else { return }
    guard subject != me else {
      defend(against: number, accuser: accuser, from: sender, &actions)
      return
    }
    guard let place = place(subject), number >= records[place].refutations else { return }
    _ = records[place].outdo(number)
    guard accuser != me, number < DetectorLimits.refutationsMax,
      records[place].accuse(
        accuser, atMicroseconds: awake, memoryMicroseconds: configuration.silenceMicrosecondsMin)
    else { return }
    nextScanMicroseconds = 0
    if records[place].confirmations(besides: me) <= confirmationsWanted + 1 {
      rumours.add(.suspect(subject, refutations: number, accuser: accuser))
    }
  }

  /// This process is suspected: it says with a higher number that it lives, first to those who doubt it.
  private mutating func defend(
    against number: UInt32, accuser: OriginIndex, from sender: OriginIndex, _ actions: inout [DetectorAction]
  ) {
    let isNews = number >= refutations
    if isNews {
      refutations = min(number, DetectorLimits.refutationsMax - 1) + 1
      health.rise(by: 1, max: configuration.localHealthMax, nowMicroseconds: awake)
    }
    let update = DetectorUpdate.refute(me, refutations: refutations)
    if isNews || !rumours.contains(update) { rumours.add(update) }
    guard isNews else { return }
    for (turn, member) in [accuser, sender].enumerated() where turn == 0 || member != accuser {
      actions.append(.send(to: member, DetectorMessage(view: view, kind: .rumours, updates: [update])))
    }
  }

  private mutating func refute(_ subject: OriginIndex, _ number: UInt32, _ actions: inout [DetectorAction]) {
    guard subject != me, let place = place(subject), records[place].outdo(number) else { return }
    rumours.add(.refute(subject, refutations: number))
    learn(place, heardMicroseconds: awake, isRefutation: true, &actions)
  }
}
