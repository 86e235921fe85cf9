import EventLog
import Primitives

extension FailureDetector {
  // MARK: Time

  mutating func tick(_ actions: inout [DetectorAction]) {
    let gap = clock.tick(nowMicroseconds: now, gapMax: configuration.tickGapMicrosecondsMax)
    let stalls = gap / configuration.starvedGapMicroseconds
    health.rise(by: Int(min(stalls, 64)), max: configuration.localHealthMax, nowMicroseconds: awake)
    health.rest(pauseMicroseconds: configuration.localHealthPauseMicroseconds, nowMicroseconds: awake)
    guard place(me) != nil else { return }
    expireErrands(&actions)
    // After oversleeping, what the others sent meanwhile waits to be read.
    let isLate = gap > configuration.tickGapMicrosecondsMax
    if isLate, !skippedScan {
      skippedScan = true
    } else {
      skippedScan = false
      if awake >= nextScanMicroseconds { scan(&actions) }
    }
    gossip(&actions)
  }

  /// Silence at which a probe has failed, in good health.
  private var suspiciousMicroseconds: UInt64 {
    configuration.probeAfterMicroseconds + 2 * configuration.ackMicrosecondsMax
  }

  private mutating func scan(_ actions: inout [DetectorAction]) {
    var silent = 0
    for place in records.indices {
      let record = records[place]
      if record.origin != me, record.state != .gone, !record.isRefused, silence(of: place) >= suspiciousMicroseconds {
        silent += 1
      }
    }
    isCrowdSilent = silent > max(1, records.count / 8)
    // Without anything due sooner: when a member that is heard now would have to be looked at.
    var next = awake + configuration.probeAfterMicroseconds
    for place in records.indices where records[place].origin != me {
      advance(place, &actions)
      if records[place].state == .suspected {
        let patience = patience(with: place)
        if silence(of: place) >= patience {
          giveUp(place, &actions)
        } else {
          next = min(next, records[place].heardMicroseconds + patience)
        }
      }
      next = min(next, dueMicroseconds(place))
    }
    nextScanMicroseconds = next
  }

  // MARK: Probes

  /// When the member's probe needs attention, in time awake.
  private func dueMicroseconds(_ place: Int) -> UInt64 {
    let record = records[place]
    switch record.probe {
    case .resting(let until):
      let isCut = !record.isLinkUp && !record.isUnheard
      return isCut ? until : max(until, record.heardMicroseconds + configuration.probeAfterMicroseconds)
    case .direct(let deadline): return deadline
    case .indirect(let probe): return probe.deadlineMicroseconds
    }
  }

  private mutating func advance(_ place: Int, _ actions: inout [DetectorAction]) {
    guard dueMicroseconds(place) <= awake else { return }
    switch records[place].probe {
    case .resting:
      if records[place].isLinkUp {
        records[place].probe = .direct(deadlineMicroseconds: awake + ackMicroseconds)
        ping(place, &actions)
      } else {
        askOthers(place, &actions)
      }
    case .direct: askOthers(place, &actions)
    case .indirect(let probe): fail(place, probe, &actions)
    }
  }

  private var ackMicroseconds: UInt64 { configuration.ackMicrosecondsMax * UInt64(health.score + 1) }

  private mutating func ping(_ place: Int, _ actions: inout [DetectorAction]) {
    guard records[place].isLinkUp else { return }
    sequence += 1
    send(.ping(sequence: sequence), to: records[place].origin, about: place, &actions)
  }

  private mutating func askOthers(_ place: Int, _ actions: inout [DetectorAction]) {
    var candidates = records.indices.filter {
      $0 != place && records[$0].origin != me && records[$0].isLinkUp && records[$0].state == .alive
        && silence(of: $0) < configuration.probeAfterMicroseconds
    }
    // The direct way once more: the first ping may have been lost.
    ping(place, &actions)
    sequence += 1
    let request = sequence
    let asked = min(configuration.relays, candidates.count)
    for _ in 0..<asked {
      let relay = candidates.remove(at: Int(generator.below(UInt64(candidates.count))))
      send(
        .pingRequest(sequence: request, subject: records[place].origin), to: records[relay].origin, about: place,
        &actions)
    }
    records[place].probe = .indirect(
      IndirectProbe(
        sequence: request, startedMicroseconds: awake, deadlineMicroseconds: awake + ackMicroseconds, asked: asked))
  }

  private mutating func fail(_ place: Int, _ probe: IndirectProbe, _ actions: inout [DetectorAction]) {
    let isGone = records[place].state == .gone
    let pause = isGone ? configuration.gonePauseMicroseconds : configuration.probeAfterMicroseconds
    records[place].probe = .resting(untilMicroseconds: awake + pause)
    guard !isGone else { return }
    // The relays were alive a moment ago: if they are not heard now, it may be this process that does not hear.
    if probe.answered < probe.asked {
      health.rise(by: 1, max: configuration.localHealthMax, nowMicroseconds: awake)
    }
    guard records[place].state == .alive, silence(of: place) > 0 else { return }
    records[place].turn(.suspected, nowMicroseconds: now)
    let origin = records[place].origin
    if records[place].confirmations(besides: me) <= confirmationsWanted {
      rumours.add(.suspect(origin, refutations: records[place].refutations, accuser: me))
    }
    actions.append(.suspected(origin))
  }

  // MARK: Probes for others

  /// Evidence not older than this is as good as an ack.
  private var freshMicroseconds: UInt64 { configuration.probeAfterMicroseconds / 2 }

  mutating func runErrand(
    for requester: OriginIndex, sequence: UInt64, subject: OriginIndex, _ actions: inout [DetectorAction]
  ) {
    guard subject != me else {
      send(.ack(sequence: sequence, subject: me, ageMilliseconds: 0), to: requester, &actions)
      return
    }
    guard subject != requester else { return }
    guard let place = place(subject) else {
      send(.ack(sequence: sequence, subject: subject, ageMilliseconds: nil), to: requester, &actions)
      return
    }
    if records[place].isLinkUp, let heard = records[place].heardNowMicroseconds, now - heard < freshMicroseconds {
      // Of the real time: what this process overslept is part of the age.
      let age = min((now - heard + 999) / 1_000, DetectorLimits.ageMillisecondsMax)
      send(.ack(sequence: sequence, subject: subject, ageMilliseconds: age), to: requester, &actions)
      return
    }
    guard errands.count < DetectorLimits.errandsMax else { return }
    errands.append(
      Errand(
        requester: requester, sequence: sequence, subject: subject,
        deadlineMicroseconds: awake + configuration.ackMicrosecondsMax / 2))
    ping(place, &actions)
  }

  mutating func fulfilErrands(for subject: OriginIndex, _ actions: inout [DetectorAction]) {
    for errand in errands where errand.subject == subject {
      send(
        .ack(sequence: errand.sequence, subject: subject, ageMilliseconds: 0), to: errand.requester, &actions)
    }
    errands.removeAll { $0.subject == subject }
  }

  private mutating func expireErrands(_ actions: inout [DetectorAction]) {
    guard !errands.isEmpty else { return }
    for errand in errands where errand.deadlineMicroseconds <= awake {
      send(
        .ack(sequence: errand.sequence, subject: errand.subject, ageMilliseconds: nil), to: errand.requester, &actions)
    }
    errands.removeAll { [awake] in $0.deadlineMicroseconds <= awake }
  }
}
