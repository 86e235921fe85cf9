import Client
import EventLog
import NIOCore
import OrderBook
import Primitives
import Replica
import Storage
import Transport
import Wire

/// What clients ask.
extension NodeServer {
  func openSession(_ connection: Connection, account: UInt64, name: String) {
    let id = SessionID(nextSession)
    nextSession += 1
    connection.tag = id.value
    sessions[id] = ClientSession(
      id: id, connection: connection, account: AccountID(account), name: name, server: self)
    logger.debug("client connected", metadata: ["client": "\(name)", "account": "\(account)"])
  }

  func closeSession(_ connection: Connection) {
    let id = SessionID(connection.tag)
    guard sessions[id]?.connection === connection else { return }
    sessions[id] = nil
    market.close(id)
    reads.close(id)
    if !isStopping { input(.sessionClosed(id)) }
  }

  /// A client that does not read must not make this node hold what it was told for ever.
  func dropIfSlow(_ session: ClientSession) {
    guard session.connection.queuedBytes > Limits.clientQueueBytesMax else { return }
    logger.warning("slow client dropped", metadata: ["client": "\(session.name)"])
    session.drop("too slow: \(Limits.clientQueueBytesMax >> 20) MiB wait to be read")
  }

  func receiveRequest(_ frame: Frame, on connection: Connection) {
    guard let session = sessions[SessionID(connection.tag)], !session.isDropped else { return }
    let request: ClientRequest
    do throws(CodecError) {
      request = try ClientRequest.decode(frame)
    } catch {
      session.drop("protocol error: \(error)")
      return
    }
    dropIfSlow(session)
    switch request {
    case .submit(let submit): receive(submit, session)
    case .query(let number, let query): receive(query, number, session)
    case .subscribe(let subscribe): open(subscribe, session)
    case .unsubscribe(let subscription): market.unsubscribe(session.id, subscription)
    case .ping(let nonce): session.say(.pong(nonce: nonce))
    case .ownUpdates(let isOn): session.wantsReports = isOn
    }
    scheduleTurn()
  }

  private func receive(_ submit: SubmitRequest, _ session: ClientSession) {
    let count = submit.commands.count
    guard submit.firstRequest > session.lastRequest else {
      session.refuse(submit.firstRequest, count: count, .malformed, "request numbers must ascend")
      return
    }
    session.lastRequest = submit.firstRequest + UInt64(count) - 1
    guard submit.commands.allSatisfy({ $0.account == nil || $0.account == session.account }) else {
      session.refuse(
        submit.firstRequest, count: count, .wrongAccount,
        "this connection acts for account \(session.account); a command names another one")
      return
    }
    input(
      .submit(
        Submission(
          session: session.id, firstRequest: submit.firstRequest, after: submit.after, commands: submit.commands,
          wantsReports: session.wantsReports)))
  }
}

extension Command {
  /// Whose command it is; nil for one that belongs to nobody.
  var account: AccountID? {
    switch self {
    case .instrument: nil
    case .order(let order): order.account
    case .cancel(let cancel): cancel.account
    case .amend(let amend): amend.account
    case .cancelAll(let all): all.account
    }
  }
}
