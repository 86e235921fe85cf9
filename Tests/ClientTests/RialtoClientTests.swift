import OrderBook
import Primitives
import Synchronization
import Testing
import Wire

@testable import Client

@Suite(.endsIfItHangs)
struct RialtoClientTests {
  // MARK: Connecting

  @Test func connectLearnsWhoTheNodeIs() async throws {
    let node = try await FakeNode.start()
    let client = try await RialtoClient.connect(
      to: node.address, account: AccountID(7), name: "someone", clusterID: FakeNode.clusterID,
      timeoutMilliseconds: patienceMilliseconds)
    #expect(client.welcome == Welcome(nodeName: "fake", origin: OriginIndex(1), stamp: Stamp(5)))
    #expect(client.nodeKey == FakeNode.key.publicKey)
    #expect(client.clusterID == FakeNode.clusterID)
    #expect(client.isConnected)
    await client.close()
    await node.stop()
  }

  @Test func anotherClusterIsRefused() async throws {
    let node = try await FakeNode.start()
    let other = SHA256().hash([1])
    let error = await #expect(throws: ClientError.self) {
      try await RialtoClient.connect(
        to: node.address, account: AccountID(7), clusterID: other, timeoutMilliseconds: patienceMilliseconds)
    }
    guard case .refused(let refusal) = error else { Issue.record("\(String(describing: error))"); return }
    #expect(refusal.code == .cluster)
    await node.stop()
  }

  @Test func aNodeThatIsNotReadySaysSo() async throws {
    let node = try await FakeNode.start(admission: { _ in Refusal(.notReady, "recovering: try again in a second") })
    await #expect(throws: ClientError.refused(Refusal(.notReady, "recovering: try again in a second"))) {
      try await RialtoClient.connect(
        to: node.address, account: AccountID(7), timeoutMilliseconds: patienceMilliseconds)
    }
    await node.stop()
  }

  @Test func nobodyListensThere() async throws {
    let node = try await FakeNode.start()
    await node.stop()
    let error = await #expect(throws: ClientError.self) {
      try await RialtoClient.connect(
        to: node.address, account: AccountID(7), timeoutMilliseconds: patienceMilliseconds)
    }
    guard case .connectFailed = error else { Issue.record("\(String(describing: error))"); return }
  }

  @Test func aSilentListenerTimesOut() async throws {
    let node = try await FakeNode.start(isSilent: true)
    await #expect(throws: ClientError.connectTimedOut(node.address, milliseconds: 200)) {
      try await RialtoClient.connect(to: node.address, account: AccountID(7), timeoutMilliseconds: 200)
    }
    await node.stop()
  }

  // MARK: Submitting

  @Test func submissionsArePipelinedAndEachGetsItsOwnAnswer() async throws {
    // Answers only when 500 commands have come, last frame first: so none can have waited for another.
    try await withClient(script: { request, connection in
      guard case .submit(let submit) = request else { return }
      connection.held.append(request)
      connection.counter += submit.commands.count
      guard connection.counter == 500 else { return }
      for case .submit(let held) in connection.held.reversed() { connection.accept(held) }
    }) { client, node in
      let dots = try await withThrowingTaskGroup(of: (Int64, Acceptance).self) { group in
        for price in Int64(1)...500 {
          group.addTask {
            let outcomes = try await client.submit([anOrder(price)])
            guard case .accepted(let acceptance)? = outcomes.first, outcomes.count == 1 else {
              throw ClientError.protocolViolation("\(outcomes)")
            }
            return (price, acceptance)
          }
        }
        return try await group.reduce(into: [Int64: Acceptance]()) { $0[$1.0] = $1.1 }
      }
      // The fake names a command by its request number; the request that carried a price is known from the frames.
      var expected: [Int64: UInt64] = [:]
      var last: UInt64 = 0
      for case .submit(let submit) in node.asked {
        #expect(submit.firstRequest == last + 1, "numbers ascend without holes")
        last += UInt64(submit.commands.count)
        for (offset, command) in submit.commands.enumerated() {
          if case .order(let order) = command { expected[order.priceTicks] = submit.firstRequest + UInt64(offset) }
        }
      }
      #expect(dots.mapValues(\.dot.sequence) == expected)
      #expect(dots.allSatisfy { $0.value.stamp.value == 1_000 + $0.value.dot.sequence })
    }
  }

  @Test func callsOfOneTurnShareAFrame() async throws {
    let (done, finish) = AsyncStream.makeStream(of: Void.self)
    try await withClient(script: { request, connection in
      if case .submit(let submit) = request { connection.accept(submit) }
    }) { client, node in
      // The callback is on the event loop, so what it asks is asked within one turn.
      client.submit([anOrder(1)]) { _, _ in
        client.submit([anOrder(2)]) { _, _ in }
        client.submit([anOrder(3)]) { _, _ in }
        client.submit([anOrder(4)]) { _, _ in finish.finish() }
      }
      for await _ in done {}
      #expect(
        node.asked == [
          .submit(SubmitRequest(firstRequest: 1, commands: [anOrder(1)])),
          .submit(SubmitRequest(firstRequest: 2, commands: [anOrder(2), anOrder(3), anOrder(4)])),
        ])
    }
  }

  @Test func manyCommandsStayWithinTheWindow() async throws {
    // The library gives up a node of which it hears nothing for 15 s. Where threads stand still for that long it says
    // nothing about the window: then once more.
    for _ in 0..<10 {
      let run = try await runOfManyCommands(total: 140_000)
      if run.isGivenUp { continue }
      #expect(run.inFlightMax == Limits.clientRequestsInFlightMax)
      #expect(run.wrong == 0)
      return
    }
    Issue.record("given up each time")
  }

  /// What became of many commands that a node answers only when a full window of them is there, or the rest.
  private func runOfManyCommands(total: Int) async throws -> (inFlightMax: Int, wrong: Int, isGivenUp: Bool) {
    let (received, unanswered, most) = (Counter(), Counter(), Counter())
    let (answered, wrong, givenUp) = (Counter(), Counter(), Counter())
    let (done, finish) = AsyncStream.makeStream(of: Void.self)
    try await withClient(script: { request, connection in
      guard case .submit(let submit) = request else { return }
      connection.held.append(request)
      connection.counter += submit.commands.count
      connection.send(.pong(nonce: 0))
      let open = unanswered.add(submit.commands.count)
      most.value.max(open, ordering: .relaxed)
      received.add(submit.commands.count)
      guard open >= Limits.clientRequestsInFlightMax || connection.counter == total else { return }
      for case .submit(let held) in connection.held {
        unanswered.add(-held.commands.count)
        connection.accept(held)
      }
      connection.held = []
    }) { client, _ in
      // A little at a time, so that no turn of the loop is long.
      for start in stride(from: 0, to: total, by: 2_000) {
        let some = (start + 1...start + 2_000).map { anOrder(Int64($0)) }
        client.submit(some, after: Stamp(3)) { position, outcome in
          switch outcome {
          case .accepted(let acceptance) where acceptance.dot.sequence == UInt64(start + position + 1): break
          case .unknown(.connectionLost(let reason)) where reason.hasPrefix("nothing was heard"): givenUp.add(1)
          case .accepted, .refused, .unknown: wrong.add(1)
          }
          if answered.add(1) == total { finish.finish() }
        }
        while received.count < start + 2_000, client.isConnected { try await Task.sleep(for: .milliseconds(1)) }
      }
      for await _ in done {}
    }
    return (most.count, wrong.count, givenUp.count > 0)
  }

  @Test func refusalsReachTheirCommands() async throws {
    let refusal = RequestRefusal(.tailFull, "1,000,000 entries wait to become final")
    try await withClient(script: { request, connection in
      guard case .submit(let submit) = request else { return }
      let first = submit.firstRequest
      connection.send(.refused(RefusedRun(firstRequest: first + 1, count: 2, refusal: refusal)))
      let run = AcceptedRun(firstRequest: first, firstDot: Dot("1-1")!, stamps: [Stamp(9)])
      let last = AcceptedRun(firstRequest: first + 3, firstDot: Dot("1-2")!, stamps: [Stamp(10)])
      connection.send(.accepted([last, run]))
    }) { client, _ in
      let outcomes = try await client.submit((1...4).map { anOrder($0) })
      #expect(
        outcomes == [
          .accepted(Acceptance(dot: Dot("1-1")!, stamp: Stamp(9))), .refused(refusal), .refused(refusal),
          .accepted(Acceptance(dot: Dot("1-2")!, stamp: Stamp(10))),
        ])
      #expect(try await client.submit([]) == [])
    }
  }

  @Test func theAfterStampTravels() async throws {
    try await withClient(script: { request, connection in
      if case .submit(let submit) = request { connection.accept(submit) }
    }) { client, node in
      _ = try await client.submit([anOrder(1)], after: Stamp(99))
      guard case .submit(let submit)? = node.asked.first else { Issue.record("nothing came"); return }
      #expect(submit.after == Stamp(99))
    }
  }

  // MARK: Endings

  @Test func aLostConnectionFailsEverythingThatWaits() async throws {
    // The first question closes the connection.
    try await withClient(script: { request, connection in
      switch request {
      case .query: connection.close()
      case .subscribe(let subscribe): connection.send(.answer(request: subscribe.request, .subscribed))
      case .submit, .unsubscribe, .ping, .ownUpdates: break
      }
    }) { client, _ in
      let market = try await client.subscribe(symbol: nil)
      let told = Mutex<[Outcome]>([])
      client.submit([anOrder(1), anOrder(2)]) { _, outcome in told.withLock { $0.append(outcome) } }
      let submitted = Task { try await client.submit([anOrder(3)]) }
      let lost = await #expect(throws: ClientError.self) { try await client.status() }
      guard case .connectionLost? = lost else { Issue.record("\(String(describing: lost))"); return }
      #expect("\(lost!)".contains("same client order id"))
      await #expect(throws: lost!) { try await submitted.value }
      await #expect(throws: lost!) { for try await _ in market {} }
      for await _ in client.updates {}
      #expect(told.withLock { $0 } == [.unknown(lost!), .unknown(lost!)])
      #expect(!client.isConnected)
      // And what comes later fails at once.
      await #expect(throws: lost!) { try await client.submit([anOrder(4)]) }
      await #expect(throws: lost!) { try await client.ping() }
      let later = Mutex<[Outcome]>([])
      client.submit([anOrder(5)]) { _, outcome in later.withLock { $0.append(outcome) } }
      #expect(later.withLock { $0 } == [.unknown(lost!)])
    }
  }

  @Test func aGoodbyeIsPassedOn() async throws {
    try await withClient(script: { _, connection in
      connection.send(.goodbye("slow consumer"))
      connection.close()
    }) { client, _ in
      await #expect(throws: ClientError.goodbye("slow consumer")) { try await client.ping() }
    }
  }

  @Test func anUnansweredRequestTimesOut() async throws {
    let late = ClientError.timedOut(milliseconds: 500)
    try await withClient(
      requestTimeoutMilliseconds: 500,
      script: { request, connection in
        // Answers the first submission only when the next one comes and nobody waits for the first any more.
        switch request {
        case .submit:
          connection.counter += 1
          connection.held.append(request)
          guard connection.counter > 1 else { return }
          for case .submit(let held) in connection.held { connection.accept(held) }
          connection.held = []
        case .ping(let nonce): connection.send(.pong(nonce: nonce))
        case .query, .subscribe, .unsubscribe, .ownUpdates: break
        }
      }
    ) { client, _ in
      let query = Task { try await client.status() }
      await #expect(throws: late) { try await client.submit([anOrder(1)]) }
      await #expect(throws: late) { try await query.value }
      // Half a second may be too short for what is answered, too: then the next one.
      var answered: [Outcome] = []
      for _ in 0..<200 where answered.isEmpty {
        do {
          answered = try await client.submit([anOrder(2)])
        } catch let error as ClientError where error == late {
          continue
        }
      }
      guard case .accepted(let acceptance)? = answered.first else { Issue.record("\(answered)"); return }
      // Not the answer to the first, nor the query: those have the numbers 1 and 2.
      #expect(acceptance.dot.sequence > 2)
      #expect(client.isConnected)
    }
  }

  @Test func closingFailsWhatWaits() async throws {
    try await withClient(script: { _, _ in }) { client, node in
      let submitted = Task { try await client.submit([anOrder(1)]) }
      while node.asked.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
      await client.close()
      await #expect(throws: ClientError.closed) { try await submitted.value }
      await client.close()
    }
  }

  @Test func releasingTheClientClosesTheConnection() async throws {
    let node = try await FakeNode.start()
    do {
      let client = try await RialtoClient.connect(
        to: node.address, account: AccountID(7), timeoutMilliseconds: patienceMilliseconds)
      #expect(client.isConnected)
    }
    while node.connectionsClosed == 0 { try await Task.sleep(for: .milliseconds(5)) }
    await node.stop()
  }

  @Test func aCancelledCallReturnsAtOnce() async throws {
    try await withClient(script: { _, _ in }) { client, node in
      let task = Task { try await client.submit([anOrder(1)]) }
      while node.asked.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
      task.cancel()
      await #expect(throws: ClientError.cancelled) { try await task.value }
      #expect(client.isConnected)
    }
  }

  @Test(arguments: [
    [UInt8].frame(type: 0x99, body: []), [UInt8].frame(type: 0x46, body: [1]), [0, 0, 0, 0],
    [0xff, 0xff, 0xff, 0x7f],
    // An answer to a request that was never made.
    [UInt8].frame(type: 0x40, body: [1, 100, 1, 1, 1, 5]),
  ])
  func nonsenseEndsTheConnection(_ bytes: [UInt8]) async throws {
    try await withClient(script: { _, connection in connection.send(bytes: bytes) }) { client, _ in
      let error = await #expect(throws: ClientError.self) { try await client.ping() }
      guard case .protocolViolation? = error else { Issue.record("\(String(describing: error))"); return }
    }
  }

  @Test func answeringTwiceEndsTheConnection() async throws {
    try await withClient(script: { request, connection in
      guard case .submit(let submit) = request else { return }
      let run = AcceptedRun(firstRequest: submit.firstRequest, firstDot: Dot("1-1")!, stamps: [Stamp(9)])
      connection.send(.accepted([run, run]))
    }) { client, _ in
      let error = await #expect(throws: ClientError.self) { try await client.submit([anOrder(1), anOrder(2)]) }
      guard case .protocolViolation? = error else { Issue.record("\(String(describing: error))"); return }
    }
  }
}

private final class Counter: Sendable {
  let value = Atomic<Int>(0)
  var count: Int { value.load(ordering: .relaxed) }
  /// - Returns: the sum.
  @discardableResult
  func add(_ number: Int) -> Int { value.add(number, ordering: .relaxed).newValue }
}
