import EventLog
import Primitives
import Testing

@testable import Membership

/// One detector, by hand. The members are 1, 3, 5, 7 and 9; the detector is 1.
struct FailureDetectorTests {
  final class Subject {
    var detector: FailureDetector
    var now: UInt64 = 10_000_000
    init(members: [UInt32] = [1, 3, 5, 7, 9], configuration: DetectorConfiguration = DetectorConfiguration()) {
      let view = View(number: 4, members: members.map { OriginIndex($0) })
      detector = FailureDetector(me: OriginIndex(1), view: view, configuration: configuration, seed: 1)
    }

    func step(_ input: DetectorInput) -> [DetectorAction] {
      var actions: [DetectorAction] = []
      detector.step(input, nowMicroseconds: now, &actions)
      return actions
    }

    func hear(_ members: [UInt32]) { for member in members { _ = step(.heard(OriginIndex(member))) } }

    /// Ticks each 25 ms; `members` are heard as often, and say that they hear nobody when asked.
    func pass(milliseconds: UInt64, hearing members: [UInt32], answering: Bool = true) -> [DetectorAction] {
      var actions: [DetectorAction] = []
      for _ in 0..<(milliseconds / 25) {
        now += 25_000
        hear(members)
        let done = step(.tick)
        actions += done
        for action in done where answering {
          guard case .send(let relay, let request) = action, members.contains(relay.value),
            case .pingRequest(let sequence, let asked) = request.kind
          else { continue }
          let nack = DetectorMessage(view: 4, kind: .ack(sequence: sequence, subject: asked, ageMilliseconds: nil))
          actions += step(.message(from: relay, nack))
        }
      }
      return actions
    }

    func state(_ member: UInt32) -> DetectorStatus.Member? {
      detector.status.members.first { $0.member == OriginIndex(member) }
    }
  }

  static func started(_ configuration: DetectorConfiguration = DetectorConfiguration()) -> Subject {
    let subject = Subject(configuration: configuration)
    _ = subject.pass(milliseconds: 100, hearing: [3, 5, 7, 9])
    return subject
  }

  static func message(
    _ kind: DetectorMessage.Kind, _ updates: [DetectorUpdate] = [], view: UInt64 = 4
  ) -> DetectorMessage {
    DetectorMessage(view: view, kind: kind, updates: updates)
  }

  static func suspect(_ subject: UInt32, _ number: UInt32, by accuser: UInt32) -> DetectorUpdate {
    .suspect(OriginIndex(subject), refutations: number, accuser: OriginIndex(accuser))
  }

  static func kinds(_ actions: [DetectorAction], to member: UInt32) -> [DetectorMessage.Kind] {
    actions.compactMap { if case .send(OriginIndex(member), let message) = $0 { message.kind } else { nil } }
  }

  static func verdicts(_ actions: [DetectorAction]) -> [UInt32] {
    actions.compactMap { if case .gaveUp(let member, _) = $0 { member.value } else { nil } }
  }

  @Test func aSilentMemberIsPingedThenAskedAboutThenSuspectedThenGivenUp() throws {
    let subject = Self.started()
    var actions = subject.pass(milliseconds: 275, hearing: [5, 7, 9])
    #expect(actions.isEmpty)
    actions = subject.pass(milliseconds: 25, hearing: [5, 7, 9])
    #expect(actions == [.send(to: OriginIndex(3), Self.message(.ping(sequence: 1)))])
    actions = subject.pass(milliseconds: 150, hearing: [5, 7, 9])
    #expect(Self.kinds(actions, to: 3) == [.ping(sequence: 2)])
    for relay: UInt32 in [5, 7, 9] {
      #expect(Self.kinds(actions, to: relay) == [.pingRequest(sequence: 3, subject: OriginIndex(3))])
    }
    actions = subject.pass(milliseconds: 150, hearing: [5, 7, 9])
    #expect(actions.contains(.suspected(OriginIndex(3))))
    #expect(subject.state(3)?.state == .suspected && subject.detector.status.localHealth == 0)
    // Alone it waits for 3 s of silence.
    actions = subject.pass(milliseconds: 2_375, hearing: [5, 7, 9])
    #expect(Self.verdicts(actions) == [])
    actions = subject.pass(milliseconds: 100, hearing: [5, 7, 9])
    #expect(Self.verdicts(actions) == [3])
    #expect(try #require(subject.state(3)).state == .gone)
  }

  @Test func relaysThatDoNotAnswerSpeakAgainstTheOneWhoAsked() {
    let subject = Self.started()
    _ = subject.pass(milliseconds: 700, hearing: [5, 7, 9], answering: false)
    #expect(subject.detector.status.localHealth == 1)
    // And it gets over it.
    _ = subject.pass(milliseconds: 400, hearing: [3, 5, 7, 9])
    _ = subject.pass(milliseconds: 2_000, hearing: [3, 5, 7, 9])
    #expect(subject.detector.status.localHealth == 0)
  }

  @Test func confirmationsShortenTheWait() {
    func silence(accusers: [UInt32]) -> UInt64 {
      let subject = Self.started()
      let start = subject.now
      _ = subject.pass(milliseconds: 500, hearing: [5, 7, 9])
      for accuser in accusers {
        _ = subject.step(
          .message(from: OriginIndex(accuser), Self.message(.rumours, [Self.suspect(3, 0, by: accuser)])))
      }
      while Self.verdicts(subject.pass(milliseconds: 25, hearing: [5, 7, 9])).isEmpty {}
      return (subject.now - start) / 1_000
    }
    // Two are wanted of five members. The same one twice counts once.
    let twice = silence(accusers: [5, 5])
    #expect(silence(accusers: [5]) == twice)
    #expect(twice > 2_000 && twice < 2_200)
    #expect((1_500...1_600).contains(silence(accusers: [5, 9])))
  }

  @Test func othersWordAloneCondemnsNobody() {
    let subject = Self.started()
    var actions: [DetectorAction] = []
    for round in 0..<100 {
      for accuser: UInt32 in [5, 7, 9] {
        actions += subject.step(
          .message(
            from: OriginIndex(accuser), Self.message(.rumours, [Self.suspect(3, UInt32(round), by: accuser)])))
      }
      actions += subject.pass(milliseconds: 100, hearing: [3, 5, 7, 9])
    }
    #expect(Self.verdicts(actions) == [] && !actions.contains(.suspected(OriginIndex(3))))
  }

  @Test func oversleepingCountsInNoDeadline() {
    let subject = Self.started()
    _ = subject.pass(milliseconds: 1_000, hearing: [5, 7, 9])
    subject.now += 60_000_000
    #expect(Self.verdicts(subject.step(.tick)) == [])
    #expect(subject.detector.status.localHealth == DetectorConfiguration().localHealthMax)
    #expect(subject.detector.status.oversleptMicroseconds > 59_000_000)
    // What came meanwhile is read only now.
    subject.now += 1_000
    subject.hear([3, 5, 7, 9])
    #expect(Self.verdicts(subject.pass(milliseconds: 300, hearing: [])) == [])
    #expect(subject.state(3)?.state == .alive)
    // With four times one more than usual, a second of silence is nothing.
    #expect(Self.verdicts(subject.pass(milliseconds: 3_000, hearing: [5, 7, 9])) == [])
  }

  /// What arrived while it overslept a little is read before anybody is given up; but not for ever.
  @Test func aLateTickGivesNobodyUp() {
    let subject = Self.started()
    _ = subject.pass(milliseconds: 500, hearing: [5, 7, 9])
    for accuser: UInt32 in [5, 9] {
      _ = subject.step(
        .message(from: OriginIndex(accuser), Self.message(.rumours, [Self.suspect(3, 0, by: accuser)])))
    }
    #expect(Self.verdicts(subject.pass(milliseconds: 950, hearing: [5, 7, 9])) == [])
    subject.now += 200_000
    #expect(Self.verdicts(subject.step(.tick)) == [])
    subject.now += 200_000
    #expect(Self.verdicts(subject.step(.tick)) == [3])
  }

  @Test func whereManyAreSilentAllGetTwiceTheTime() {
    let subject = Self.started()
    #expect(Self.verdicts(subject.pass(milliseconds: 5_900, hearing: [7, 9])) == [])
    #expect(Self.verdicts(subject.pass(milliseconds: 200, hearing: [7, 9])) == [3, 5])
  }

  @Test func aWrongSuspicionMakesMoreCareful() {
    let subject = Self.started()
    _ = subject.pass(milliseconds: 700, hearing: [5, 7, 9])
    #expect(subject.state(3)?.state == .suspected && subject.detector.status.localHealth == 0)
    #expect(subject.step(.heard(OriginIndex(3))) == [.alive(OriginIndex(3))])
    #expect(subject.detector.status.localHealth == 1)
  }

  @Test func aClosedLinkAndARefusedDialAreStrongerThanSilence() {
    func silence(refused: Bool) -> UInt64 {
      let subject = Self.started()
      let start = subject.now
      var actions = subject.step(.linkDown(OriginIndex(3)))
      if refused { actions += subject.step(.dialRefused(OriginIndex(3))) }
      actions += subject.pass(milliseconds: 25, hearing: [5, 7, 9])
      // No ping: there is no link. The others are asked at once.
      #expect(Self.kinds(actions, to: 3) == [] && !Self.kinds(actions, to: 5).isEmpty)
      while Self.verdicts(subject.pass(milliseconds: 25, hearing: [5, 7, 9])).isEmpty {}
      return (subject.now - start) / 1_000
    }
    #expect((1_000...1_050).contains(silence(refused: true)))
    #expect(silence(refused: false) > 2_900)
  }

  @Test func whatARelayHeardCounts() {
    let subject = Self.started()
    var suspicions = 0
    for _ in 0..<400 {
      let actions = subject.pass(milliseconds: 25, hearing: [5, 7, 9], answering: false)
      suspicions += actions.filter { $0 == .suspected(OriginIndex(3)) }.count
      for kind in Self.kinds(actions, to: 7) {
        guard case .pingRequest(let sequence, let asked) = kind else { continue }
        let ack = Self.message(.ack(sequence: sequence, subject: asked, ageMilliseconds: 100))
        #expect(Self.verdicts(subject.step(.message(from: OriginIndex(7), ack))) == [])
      }
    }
    #expect(suspicions == 0)
    // An answer to a question that was not asked is none.
    let stale = Self.message(.ack(sequence: 1, subject: OriginIndex(3), ageMilliseconds: 0))
    let before = subject.state(3)?.silenceMicroseconds
    _ = subject.step(.message(from: OriginIndex(7), stale))
    #expect(subject.state(3)?.silenceMicroseconds == before)
  }

  @Test func aRelayAnswersFromWhatItKnowsOrAsks() {
    let subject = Self.started()
    let request = Self.message(.pingRequest(sequence: 77, subject: OriginIndex(3)))
    subject.now += 20_500
    var actions = subject.step(.message(from: OriginIndex(5), request))
    #expect(Self.kinds(actions, to: 5) == [.ack(sequence: 77, subject: OriginIndex(3), ageMilliseconds: 21)])
    _ = subject.pass(milliseconds: 200, hearing: [5, 7, 9])
    actions = subject.step(.message(from: OriginIndex(5), request))
    #expect(Self.kinds(actions, to: 5) == [] && Self.kinds(actions, to: 3).count == 1)
    // It lives …
    actions = subject.step(.heard(OriginIndex(3)))
    #expect(Self.kinds(actions, to: 5) == [.ack(sequence: 77, subject: OriginIndex(3), ageMilliseconds: 0)])
    // … and the next time it does not answer.
    _ = subject.pass(milliseconds: 200, hearing: [5, 7, 9])
    _ = subject.step(.message(from: OriginIndex(5), request))
    actions = subject.pass(milliseconds: 100, hearing: [5, 7, 9])
    #expect(
      Self.kinds(actions, to: 5).contains(.ack(sequence: 77, subject: OriginIndex(3), ageMilliseconds: nil)))
    // What it overslept is part of the age.
    subject.hear([3])
    subject.now += 5_000_000
    _ = subject.step(.tick)
    actions = subject.step(.message(from: OriginIndex(5), request))
    #expect(Self.kinds(actions, to: 5) == [] && Self.kinds(actions, to: 3).count == 1)
  }

  @Test func whoIsSuspectedRefutesWithAHigherNumber() {
    let subject = Self.started()
    let accusation = Self.message(.ping(sequence: 9), [Self.suspect(1, 6, by: 7)])
    var actions = subject.step(.message(from: OriginIndex(5), accusation))
    let refutation = Self.message(.rumours, [.refute(OriginIndex(1), refutations: 7)])
    #expect(actions.contains(.send(to: OriginIndex(7), refutation)))
    #expect(actions.contains(.send(to: OriginIndex(5), refutation)))
    #expect(Self.kinds(actions, to: 5).contains(.ack(sequence: 9, subject: OriginIndex(1), ageMilliseconds: 0)))
    #expect(subject.detector.status.localHealth == 1 && subject.detector.status.refutations == 7)
    // It was outdone already.
    actions = subject.step(.message(from: OriginIndex(5), accusation))
    #expect(!actions.contains(.send(to: OriginIndex(7), refutation)))
    #expect(subject.detector.status.refutations == 7)
  }

  @Test func aRefutationClearsASuspicion() {
    let subject = Self.started()
    var actions = subject.pass(milliseconds: 1_000, hearing: [5, 7, 9])
    #expect(subject.state(3)?.state == .suspected)
    let refutation = DetectorUpdate.refute(OriginIndex(3), refutations: 1)
    actions = subject.step(.message(from: OriginIndex(9), Self.message(.rumours, [refutation], view: 5)))
    #expect(actions.isEmpty, "of another view")
    actions = subject.step(.message(from: OriginIndex(9), Self.message(.rumours, [refutation])))
    #expect(actions == [.refuted(OriginIndex(3))])
    #expect(subject.state(3)?.state == .alive && subject.state(3)?.refutations == 1)
    // The same again proves nothing; nor does an accusation of before.
    _ = subject.pass(milliseconds: 1_000, hearing: [5, 7, 9])
    actions = subject.step(
      .message(from: OriginIndex(9), Self.message(.rumours, [refutation, Self.suspect(3, 0, by: 9)])))
    #expect(subject.state(3)?.state == .suspected && subject.state(3)?.confirmations == 0)
  }

  @Test func strangersAreNotHeard() {
    let subject = Self.started()
    let ping = Self.message(.ping(sequence: 1))
    for stranger: UInt32 in [0, 1, 2, 8, 1_000] {
      #expect(subject.step(.message(from: OriginIndex(stranger), ping)).isEmpty)
      #expect(subject.step(.heard(OriginIndex(stranger))).isEmpty)
      #expect(subject.step(.linkDown(OriginIndex(stranger))).isEmpty)
      #expect(subject.step(.dialRefused(OriginIndex(stranger))).isEmpty)
      let accusation = Self.message(.rumours, [Self.suspect(3, 0, by: 8), Self.suspect(8, 0, by: 3)])
      #expect(subject.step(.message(from: OriginIndex(3), accusation)).isEmpty)
    }
    #expect(subject.state(3)?.confirmations == 0 && subject.detector.rumours.isEmpty)
  }

  @Test func membersThatNeverSpokeMayStartLater() {
    let subject = Subject()
    _ = subject.pass(milliseconds: 25, hearing: [5, 7, 9])
    #expect(Self.verdicts(subject.pass(milliseconds: 6_000, hearing: [5, 7, 9])) == [])
    #expect(Self.verdicts(subject.pass(milliseconds: 9_000, hearing: [5, 7, 9])) == [3])
  }

  @Test func anotherViewKeepsWhatIsKnown() {
    let subject = Self.started()
    _ = subject.pass(milliseconds: 1_000, hearing: [5, 7])
    #expect(subject.state(3)?.state == .suspected && subject.state(9)?.state == .suspected)
    let next = View(number: 5, members: [1, 3, 5, 7, 11].map { OriginIndex($0) })
    subject.detector.setMembers(next)
    #expect(subject.state(3)?.state == .suspected && subject.state(9) == nil && subject.state(11)?.state == .alive)
    let actions = subject.pass(milliseconds: 100, hearing: [5, 7, 11])
    #expect(actions.contains { if case .send(_, let message) = $0 { message.view == 5 } else { false } })
    let about = actions.flatMap { action -> [DetectorUpdate] in
      if case .send(_, let message) = action { message.updates } else { [] }
    }
    #expect(!about.isEmpty && about.allSatisfy { $0 == Self.suspect(3, 0, by: 1) })
    // Out of the view it watches nobody.
    subject.detector.setMembers(View(number: 6, members: [3, 5, 7].map { OriginIndex($0) }))
    #expect(subject.pass(milliseconds: 5_000, hearing: []).isEmpty)
  }

  @Test func aFloodOfRumoursIsBounded() {
    let members = (0..<128).map { UInt32($0) }
    let subject = Subject(members: members)
    _ = subject.pass(milliseconds: 25, hearing: members)
    for number in 0..<50 {
      for accused in members where accused > 1 {
        let accuser = members[(Int(accused) + number + 1) % 128]
        guard accuser != accused else { continue }
        let update = Self.suspect(accused, UInt32(number / 10), by: accuser)
        _ = subject.step(.message(from: OriginIndex(0), Self.message(.rumours, [update])))
        let request = Self.message(.pingRequest(sequence: 1, subject: OriginIndex(accused)))
        _ = subject.step(.message(from: OriginIndex(0), request))
      }
      subject.now += 200_000
    }
    #expect(subject.detector.rumours.count <= DetectorLimits.rumoursMax && !subject.detector.rumours.isEmpty)
    #expect(subject.detector.errands.count == DetectorLimits.errandsMax)
  }
}
