import OrderBook
import Primitives
import Synchronization
import Testing
import Wire

@testable import Client

@Suite(.timeLimit(.minutes(1)))
struct RialtoClientTests {
  // MARK: Connecting

  @Test func connectLearnsWhoTheNodeIs() async throws {
    let node = try await FakeNode.start()
    let client = try await RialtoClient.connect(
      to: node.address, account: AccountID(7), name: "someone", clusterID: FakeNode.clusterID)
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
      try await RialtoClient.connect(to: node.address, account: AccountID(7), clusterID: other)
    }
    guard case .refused(let refusal) = error else { Issue.record("\(String(describing: error))"); return }
    #expect(refusal.code == .cluster)
    await node.stop()
  }

  @Test func aNodeThatIsNotReadySaysSo() async throws {
    let node = try await FakeNode.start(admission: { _ in Refusal(.notReady, "recovering: try again in a second") })
    await #expect(throws: ClientError.refused(Refusal(.notReady, "recovering: try again in a second"))) {
      try await RialtoClient.connect(to: node.address, account: AccountID(7))
    }
    await node.stop()
  }

  @Test func nobodyListensThere() async throws {
    let node = try await FakeNode.start()
    await node.stop()
    let error = await #expect(throws: ClientError.self) {
      try await RialtoClient.connect(to: node.address, account: AccountID(7))
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
      var frames = 0
      var last: UInt64 = 0
      for case .submit(let submit) in node.asked {
        frames += 1
        #expect(submit.firstRequest == last + 1, "numbers ascend without holes")
        last += UInt64(submit.commands.count)
        for (offset, command) in submit.commands.enumerated() {
          if case .order(let order) = command { expected[order.priceTicks] = submit.firstRequest + UInt64(offset) }
        }
      }
      #expect(dots.mapValues(\.dot.sequence) == expected)
      #expect(dots.allSatisfy { $0.value.stamp.value == 1_000 + $0.value.dot.sequence })
      #expect(frames < 500, "calls of one turn share a frame")
    }
  }

  @Test func manyCommandsStayWithinTheWindow() async throws {
    let total = 200_000
    let unanswered = Atomic<Int>(0)
    let most = Atomic<Int>(0)
    let answered = Atomic<Int>(0)
    let wrong = Atomic<Int>(0)
    let (done, finish) = AsyncStream.makeStream(of: Void.self)
    // Holds everything back until a full window is there, or the rest.
    try await withClient(script: { request, connection in
      guard case .submit(let submit) = request else { return }
      connection.held.append(request)
      connection.counter += submit.commands.count
      let open = unanswered.add(submit.commands.count, ordering: .relaxed).newValue
      most.max(open, ordering: .relaxed)
      guard open >= Limits.clientRequestsInFlightMax || connection.counter == total else { return }
      for case .submit(let held) in connection.held {
        unanswered.subtract(held.commands.count, ordering: .relaxed)
        connection.accept(held)
      }
      connection.held = []
    }) { client, _ in
      client.submit((1...total).map { anOrder(Int64($0)) }, after: Stamp(3)) { position, outcome in
        if case .accepted(let acceptance) = outcome, acceptance.dot.sequence == UInt64(position + 1) {
        } else {
          wrong.add(1, ordering: .relaxed)
        }
        if answered.add(1, ordering: .relaxed).newValue == total { finish.finish() }
      }
      for await _ in done {}
      #expect(most.load(ordering: .relaxed) == Limits.clientRequestsInFlightMax)
      #expect(wrong.load(ordering: .relaxed) == 0)
    }
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
    try await withClient(
      requestTimeoutMilliseconds: 2_000,
      script: { request, connection in
        // Answers the submission late, when nobody waits for it any more; then the ping.
        switch request {
        case .submit: connection.held.append(request)
        case .ping(let nonce):
          for case .submit(let held) in connection.held { connection.accept(held) }
          connection.send(.pong(nonce: nonce))
        case .query, .subscribe, .unsubscribe, .ownUpdates: break
        }
      }
    ) { client, _ in
      let query = Task { try await client.status() }
      await #expect(throws: ClientError.timedOut(milliseconds: 2_000)) { try await client.submit([anOrder(1)]) }
      await #expect(throws: ClientError.timedOut(milliseconds: 2_000)) { try await query.value }
      try await client.ping()
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
      let client = try await RialtoClient.connect(to: node.address, account: AccountID(7))
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
