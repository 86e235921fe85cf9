import Client
import NIOCore
import OrderBook
import Primitives
import Replica
import Transport
import Wire

/// One client connection as the node sees it.
final class ClientSession {
  /// Subscriptions that one connection may have.
  static let subscriptionsMax = 64

  let id: SessionID
  let connection: Connection
  let account: AccountID
  let name: String
  var wantsReports = true
  var lastRequest: UInt64 = 0
  var isDropped = false
  private unowned let server: NodeServer

  init(id: SessionID, connection: Connection, account: AccountID, name: String, server: NodeServer) {
    self.id = id
    self.connection = connection
    self.account = account
    self.name = name
    self.server = server
  }

  func say(_ message: NodeMessage) {
    guard !isDropped else { return }
    var writer = ByteWriter(reserving: 256)
    message.write(to: &writer)
    send(writer.bytes)
  }

  private func send(_ bytes: [UInt8]) {
    connection.write(ByteBuffer(bytes: bytes))
    server.touched.append(connection)
    if !connection.isWritable { server.dropIfSlow(self) }
  }

  func say(_ reports: [OrderReport]) {
    guard wantsReports, !isDropped else { return }
    var writer = ByteWriter(reserving: 64 * reports.count)
    writer.write(updates: reports.map(\.update))
    send(writer.bytes)
  }

  func refuse(_ request: UInt64, count: Int = 1, _ code: RequestRefusalCode, _ text: String) {
    say(.refused(RefusedRun(firstRequest: request, count: count, refusal: RequestRefusal(code, text))))
  }

  /// Says why, then closes; nothing more is said.
  func drop(_ reason: String) {
    guard !isDropped else { return }
    isDropped = true
    var writer = ByteWriter()
    NodeMessage.goodbye(reason).write(to: &writer)
    connection.write(ByteBuffer(bytes: writer.bytes))
    connection.close(reason: reason)
  }
}

extension OrderReport {
  var update: OrderUpdate {
    var flags: OrderUpdate.Flags = []
    if isCorrection { flags.insert(.correction) }
    if isFinal { flags.insert(.final) }
    return OrderUpdate(
      entry: entry, state: UpdateState(rawValue: state.rawValue) ?? .pending, reason: reason, other: other,
      openLots: openLots, filledLots: filledLots, fillsStanding: UInt64(fillsStanding),
      newFills: newFills.map {
        OrderFill(
          priceTicks: $0.priceTicks, quantityLots: $0.quantityLots, counterparty: $0.counterparty, isMaker: $0.isMaker)
      }, flags: flags)
  }
}
