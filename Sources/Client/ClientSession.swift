import OrderBook
import Primitives
import Wire

/// What one connection has asked and not been answered: calls and messages in, frames out. No NIO, no clock.
///
/// Belongs to the event loop of its connection. Frames gather in `output` until the handler sends them.
final class ClientSession {
  /// A question that waits for its answer.
  private struct Question {
    let deadlineMilliseconds: UInt64
    let answer: (Result<ClientAnswer, ClientError>) -> Void
  }

  private final class Subscription {
    let id: UInt64
    let symbol: Symbol?
    let content: SubscribeRequest.Content
    let mailbox: MarketMailbox
    /// Request number it goes by; nil while it rests for a slow reader.
    var number: UInt64?
    var tracker = MarketTracker()
    var recoveriesInARow = 0
    init(id: UInt64, symbol: Symbol?, content: SubscribeRequest.Content, mailbox: MarketMailbox) {
      self.id = id
      self.symbol = symbol
      self.content = content
      self.mailbox = mailbox
    }
  }

  private enum Waiting {
    case batch(SubmitBatch)
    case question(ClientQuery, Reply<ClientAnswer>, deadlineMilliseconds: UInt64)
  }

  /// After this long without a word from the node it is asked for one.
  static let silenceMillisecondsMax: UInt64 = 5_000
  /// After this long the connection counts as lost.
  static let silenceMillisecondsLost: UInt64 = 15_000

  /// Frames to be sent.
  var output = ByteWriter()
  /// Commands and questions that no longer wait; the outbox is told.
  var released = 0
  private let requestTimeoutMilliseconds: UInt64
  private let onUpdates: ([OrderUpdate]) -> Void
  private var nextRequest: UInt64 = 1
  private var waiting = Fifo<Waiting>()
  private var submits = SubmitTable()
  private var questions: [UInt64: Question] = [:]
  private var pings: [UInt64: Reply<Void>] = [:]
  private var pingDeadlines = Fifo<(nonce: UInt64, deadlineMilliseconds: UInt64)>()
  private var nextNonce: UInt64 = 1
  private var subscriptions: [UInt64: Subscription] = [:]
  private var subscriptionByNumber: [UInt64: Subscription] = [:]
  private var lastHeardMilliseconds: UInt64
  private var lastAskedMilliseconds: UInt64

  init(nowMilliseconds: UInt64, requestTimeoutMilliseconds: UInt64, onUpdates: @escaping ([OrderUpdate]) -> Void) {
    self.requestTimeoutMilliseconds = requestTimeoutMilliseconds
    self.onUpdates = onUpdates
    lastHeardMilliseconds = nowMilliseconds
    lastAskedMilliseconds = nowMilliseconds
  }

  var inFlight: Int { submits.inFlight + questions.count }

  private func takeNumber() -> UInt64 {
    defer { nextRequest += 1 }
    return nextRequest
  }

  private func write(_ request: ClientRequest) { request.write(to: &output) }
}

// MARK: - Calls

extension ClientSession {
  func take(_ calls: [ClientCall], nowMilliseconds now: UInt64) {
    let deadline = now + requestTimeoutMilliseconds
    for call in calls {
      switch call {
      case .submit(let commands, let after, let sink):
        waiting.append(
          .batch(SubmitBatch(commands: commands, after: after, deadlineMilliseconds: deadline, sink: sink)))
      case .query(let query, let reply):
        // One that waits at the node has that long more.
        var patience: UInt64 = 0
        if case .atLeast(_, let wait)? = query.level { patience = wait }
        waiting.append(.question(query, reply, deadlineMilliseconds: deadline + patience))
      case .subscribe(let id, let symbol, let content, let mailbox, let reply):
        released += 1
        let subscription = Subscription(id: id, symbol: symbol, content: content, mailbox: mailbox)
        subscriptions[id] = subscription
        begin(subscription, deadline) { reply.resolve($0) }
      case .restart(let id):
        if let subscription = subscriptions[id], subscription.number == nil { begin(subscription, deadline) { _ in } }
      case .unsubscribe(let id):
        if let subscription = subscriptions.removeValue(forKey: id) { rest(subscription) }
      case .ping(let reply):
        released += 1
        pings[nextNonce] = reply
        pingDeadlines.append((nextNonce, deadline))
        ask()
      case .ownUpdates(let isOn): write(.ownUpdates(isOn))
      }
    }
  }

  private func ask() {
    write(.ping(nonce: nextNonce))
    nextNonce += 1
  }

  /// Puts into frames what waits, as far as there is room in flight.
  func pump() {
    var builder: SubmitFrameBuilder?
    func close() {
      if let builder, !builder.isEmpty { builder.write(to: &output) }
      builder = nil
    }
    while inFlight < Limits.clientRequestsInFlightMax, let next = waiting.first {
      switch next {
      case .question(let query, let reply, let deadline):
        close()
        waiting.popFirst()
        released += 1
        let number = takeNumber()
        questions[number] = Question(deadlineMilliseconds: deadline) { reply.resolve($0) }
        write(.query(request: number, query))
      case .batch(let batch):
        if let open = builder, open.isFull || open.after != batch.after { close() }
        var open = builder ?? SubmitFrameBuilder(firstRequest: nextRequest, after: batch.after)
        builder = nil
        let offset = batch.sent
        let room = Limits.clientRequestsInFlightMax - inFlight
        var added = 0
        while added < room, offset + added < batch.count, !open.isFull {
          open.add(batch.commands[offset + added])
          added += 1
        }
        submits.add(firstRequest: nextRequest, count: added, batch: batch, offset: offset)
        nextRequest += UInt64(added)
        released += added
        batch.sent += added
        builder = open
        if batch.sent == batch.count { waiting.popFirst() }
      }
    }
    close()
  }
}

// MARK: - Messages

extension ClientSession {
  /// - Throws: what ends the connection.
  func receive(_ message: NodeMessage, nowMilliseconds now: UInt64) throws(ClientError) {
    lastHeardMilliseconds = now
    switch message {
    case .accepted(let runs):
      for run in runs {
        try checkAnswered(run.firstRequest, run.stamps.count)
        let isFresh = submits.answer(firstRequest: run.firstRequest, count: run.stamps.count) {
          .accepted(run.acceptance($0))
        }
        guard isFresh else { throw .protocolViolation("request \(run.firstRequest) was answered twice") }
      }
    case .refused(let run):
      try checkAnswered(run.firstRequest, run.count)
      if run.count == 1, let question = questions.removeValue(forKey: run.firstRequest) {
        question.answer(.failure(.requestRefused(run.refusal)))
        return
      }
      let isFresh = submits.answer(firstRequest: run.firstRequest, count: run.count) { _ in .refused(run.refusal) }
      guard isFresh else { throw .protocolViolation("request \(run.firstRequest) was answered twice") }
    case .updates(let updates): onUpdates(updates)
    case .answer(let number, let answer):
      try checkAnswered(number, 1)
      questions.removeValue(forKey: number)?.answer(.success(answer))
    case .marketSnapshot(let snapshot):
      guard let subscription = subscriptionByNumber[snapshot.subscription] else { return }
      deliver(.snapshot(snapshot), subscription.tracker.receive(snapshot), subscription, now)
    case .marketChange(let change):
      guard let subscription = subscriptionByNumber[change.subscription] else { return }
      let verdict = subscription.tracker.receive(change)
      if verdict == .deliver { subscription.recoveriesInARow = 0 }
      deliver(.change(change), verdict, subscription, now)
    case .pong(let nonce): pings.removeValue(forKey: nonce)?.resolve(.success(()))
    case .goodbye(let text): throw .goodbye(text)
    }
  }

  /// An answer names requests that were sent; whether they still wait is another matter.
  private func checkAnswered(_ first: UInt64, _ count: Int) throws(ClientError) {
    // Subtracted rather than added: the node names `first`, which may be the largest number there is.
    guard first > 0, first < nextRequest, UInt64(count) <= nextRequest - first else {
      throw .protocolViolation("an answer to request \(first), which was never sent")
    }
  }
}

// MARK: - Subscriptions

extension ClientSession {
  private func begin(
    _ subscription: Subscription, _ deadline: UInt64, _ tell: @escaping (Result<Void, ClientError>) -> Void
  ) {
    let number = takeNumber()
    subscription.number = number
    subscription.tracker = MarketTracker()
    subscriptionByNumber[number] = subscription
    questions[number] = Question(deadlineMilliseconds: deadline) { [weak self] result in
      switch result {
      case .success: tell(.success(()))
      case .failure(let error):
        tell(.failure(error))
        // It may rest, or go by a newer number, by now.
        if subscription.number == number { self?.fail(subscription, error) }
      }
    }
    write(
      .subscribe(SubscribeRequest(request: number, symbol: subscription.symbol, content: subscription.content)))
  }

  /// Ends it at the node, not at the reader.
  private func rest(_ subscription: Subscription) {
    guard let number = subscription.number else { return }
    subscription.number = nil
    subscriptionByNumber[number] = nil
    write(.unsubscribe(subscription: number))
  }

  private func fail(_ subscription: Subscription, _ error: ClientError) {
    rest(subscription)
    subscriptions[subscription.id] = nil
    subscription.mailbox.finish(error)
  }

  private func deliver(
    _ event: MarketEvent, _ verdict: MarketTracker.Verdict, _ subscription: Subscription, _ now: UInt64
  ) {
    switch verdict {
    case .deliver:
      if !subscription.mailbox.put(event) { rest(subscription) }
    case .gap:
      rest(subscription)
      subscription.recoveriesInARow += 1
      guard subscription.recoveriesInARow <= ClientLimits.recoveriesInARowMax else {
        fail(subscription, .protocolViolation("market sequences with a gap after every snapshot"))
        return
      }
      begin(subscription, now + requestTimeoutMilliseconds) { _ in }
    }
  }
}

// MARK: - Time and end

extension ClientSession {
  /// Called every 250 ms.
  /// - Throws: what ends the connection.
  func tick(nowMilliseconds now: UInt64) throws(ClientError) {
    let late = ClientError.timedOut(milliseconds: Int64(requestTimeoutMilliseconds))
    submits.expire(nowMilliseconds: now, late)
    while let next = waiting.first {
      switch next {
      case .batch(let batch):
        if batch.deadlineMilliseconds > now { break }
        batch.fail(late)
        released += batch.count - batch.sent
        waiting.popFirst()
        continue
      case .question(_, let reply, let deadline):
        if deadline > now { break }
        reply.resolve(.failure(late))
        released += 1
        waiting.popFirst()
        continue
      }
      break
    }
    let lateNumbers = questions.filter { $0.value.deadlineMilliseconds <= now }.keys.sorted()
    for number in lateNumbers { questions.removeValue(forKey: number)?.answer(.failure(late)) }
    while let ping = pingDeadlines.first, ping.deadlineMilliseconds <= now {
      pingDeadlines.popFirst()
      pings.removeValue(forKey: ping.nonce)?.resolve(.failure(late))
    }
    let silence = now - min(now, lastHeardMilliseconds)
    if silence >= Self.silenceMillisecondsLost {
      throw .connectionLost(reason: "nothing was heard of the node for \(silence) ms")
    }
    if silence >= Self.silenceMillisecondsMax, now - lastAskedMilliseconds >= Self.silenceMillisecondsMax {
      lastAskedMilliseconds = now
      ask()
    }
  }

  /// Ends every call and every subscription.
  func failAll(_ error: ClientError) {
    submits.failAll(error)
    while let next = waiting.popFirst() {
      switch next {
      case .batch(let batch): batch.fail(error)
      case .question(_, let reply, _): reply.resolve(.failure(error))
      }
    }
    let open = questions.keys.sorted()
    for number in open { questions.removeValue(forKey: number)?.answer(.failure(error)) }
    for nonce in pings.keys.sorted() { pings.removeValue(forKey: nonce)?.resolve(.failure(error)) }
    for id in subscriptions.keys.sorted() { subscriptions.removeValue(forKey: id)?.mailbox.finish(error) }
    subscriptionByNumber = [:]
  }
}
