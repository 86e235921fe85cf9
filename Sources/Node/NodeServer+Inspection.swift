import Client
import Diagnostics
import EventLog
import Membership
import NIOCore
import OrderBook
import Primitives
import Replica

/// What somebody asks who compares this node with another one.
extension NodeServer {
  func inspect(_ bytes: [UInt8], _ number: UInt64, _ session: ClientSession) {
    let question: Question
    do throws(CodecError) {
      question = try Question(bytes: bytes)
    } catch {
      return session.refuse(number, .unsupported, "not a question that this version knows: \(error)")
    }
    switch question {
    case .overview: say(.overview(overview()), number, session)
    case .checkpoints(let after, let through):
      let kept = replica.checkpoints.kept.filter { $0.number > after && $0.number <= through }
      say(
        .checkpoints(CheckpointName.spread(kept).map { CheckpointName(number: $0.number, hash: $0.hash) }), number,
        session)
    case .checkpoint(let name):
      var found: Checkpoint?
      if case .kept(let checkpoint) = replica.checkpoints.find(name) { found = checkpoint }
      say(.checkpoint(found), number, session)
    case .checkpointHashes(let numbers):
      let hashes = numbers.map { number -> Hash256? in
        switch replica.checkpoints.find(number) {
        case .kept(let checkpoint): checkpoint.hash
        case .never: .zero
        case .notYet, .dropped: nil
        }
      }
      say(.checkpointHashes(hashes), number, session)
    case .instruments:
      let instruments = replica.withBook { book in
        book.instruments.map { NamedInstrument(dot: $0.dot, instrument: $0.instrument) }
      }
      say(.instruments(instruments), number, session)
    case .book(let point, let hashing, let levels): capture(point, hashing, levels, number, session)
    case .queues(let book, _), .levels(let book, _, _), .orders(let book, _, _):
      let answer = inspections.book(book)?.answer(question)
      say(answer ?? .unavailable("that book is not held any more; ask for it again"), number, session)
    case .trace(let dot, let stamp): say(.trace(trace(dot, stamp)), number, session)
    case .heads, .places, .batch, .fillHashes, .fills, .fate: readFile(question, number, session)
    }
  }

  private func say(_ answer: Answer, _ number: UInt64, _ session: ClientSession) {
    let bytes = answer.bytes
    guard bytes.count <= ClientLimits.inspectionBytesMax else {
      return session.refuse(number, .tooMany, "the answer is too long for a frame")
    }
    session.say(.answer(request: number, .inspection(bytes)))
  }

  private func overview() -> Overview {
    let status = replica.status
    let counts = store.counts()
    return Overview(
      name: name, node: configuration.key.publicKey.nodeID, cluster: cluster, isRunning: true, view: status.view,
      members: status.members.count, finalStamp: replica.viewStamp, finalEntries: replica.finalEntries,
      finalVector: replica.finalVectorHash(), checkpoint: replica.checkpoints.newest,
      attestedByMajority: replica.isAttestedByMajority(replica.newestAttestedNumber)
        ? replica.newestAttestedNumber : 0,
      logBegins: store.logBegins, fills: counts.fills, snapshots: store.snapshots.map(\.number),
      tables: store.auditPosition,
      health: replica.healthState.serves ? "" : "\(replica.healthState)")
  }

  private func trace(_ dot: Dot, _ stamp: Stamp) -> EntryTrace {
    let arrival = replica.journal.arrival(of: dot)
    return EntryTrace(
      name: name, arrivedMilliseconds: arrival?.milliseconds,
      source: arrival?.source.map { replica.registered($0)?.name ?? "origin \($0)" } ?? "",
      isHeld: replica.holds(dot), isFinal: replica.isFinal(dot),
      finalMilliseconds: replica.isFinal(dot) ? replica.journal.finalMilliseconds(of: stamp) : nil,
      rollbacks: replica.journal.rollbacks(of: OrderKey(stamp: stamp, origin: dot.origin))
        .suffix(EntryTrace.rollbacksMax).map {
          EntryTrace.Rollback(milliseconds: $0.milliseconds, entries: $0.depth)
        })
  }

  // MARK: The book

  private func capture(
    _ point: BookPoint, _ hashing: BookHashing, _ levels: [LevelName], _ number: UInt64, _ session: ClientSession
  ) {
    let stamp: Stamp?
    switch point {
    case .now: stamp = nil
    case .at(let wanted): stamp = wanted
    case .snapshot, .tables:
      return say(
        .unavailable("\(name) is running: snapshots and tables are compared when it is stopped, or in a copy"),
        number, session)
    }
    let isSmall = replica.status.restingOrders <= Question.ordersHashedMax
    let isRaw = hashing == .raw || hashing == .rawIfSmall && isSmall
    let book = inspections.nextBook()
    switch replica.capture(book, at: stamp, isRaw: isRaw, levels: levels) {
    case .ready(let captured): answer(captured, number, session)
    case .pending:
      inspections.wait(
        InspectionDesk.Waiting(
          book: book, session: session.id, number: number,
          deadline: .now() + .milliseconds(InspectionDesk.waitMilliseconds)))
    case .passed(let stamp): say(.unavailable("\(name) is at stamp \(stamp) already"), number, session)
    case .tooMany: say(.unavailable("\(name) is asked for too many books at once"), number, session)
    }
  }

  private func answer(_ captured: Replica.CapturedBook, _ number: UInt64, _ session: ClientSession) {
    let capture = BookCapture(
      captured.image, id: captured.id, stamp: captured.stamp, finalVector: captured.finalVector)
    inspections.hold(capture)
    say(.book(capture.summary), number, session)
  }

  /// Books that have come, and those that have not come in time. Called at the end of every turn.
  func serveInspections() {
    guard !inspections.waiting.isEmpty else { return }
    for captured in replica.takeCaptures() {
      guard let waiting = inspections.take(captured.id), let session = sessions[waiting.session] else { continue }
      answer(captured, waiting.number, session)
    }
    for late in inspections.takeLate(.now()) {
      replica.dropCapture(late.book)
      guard let session = sessions[late.session] else { continue }
      say(.unavailable("nothing has become final at \(name) up to that stamp in time"), late.number, session)
    }
  }

  // MARK: The file

  private func readFile(_ question: Question, _ number: UInt64, _ session: ClientSession) {
    guard inspectionReader.waiting < InspectionReader.queueMax else {
      return session.refuse(number, .busy, "\(InspectionReader.queueMax) questions about the file wait already")
    }
    let id = session.id
    inspectionReader.answer(
      question, through: replica.viewStamp, register: replica.viewValue.register, on: loop
    ) { [weak self] result in
      guard let self, let session = sessions[id] else { return }
      switch result {
      case .success(let answer?): say(answer, number, session)
      case .success(nil): say(.unavailable("not a question about a file"), number, session)
      case .failure(let error): session.refuse(number, .storage, "the file cannot be read: \(error)")
      }
    }
  }
}
