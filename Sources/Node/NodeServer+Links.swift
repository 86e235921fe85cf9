import Gossip
import Logging
import NIOCore
import Primitives
import Replica
import Transport
import Wire

/// Connections to members: dialling, the handshake, one link a member, silence.
extension NodeServer: ConnectionOwner {
  func nonce() -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<Hello.nonceByteCount).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
  }

  private func membership() -> @Sendable (PublicKey) -> OriginIndex? {
    let register = register
    let view = configuration.genesis.view
    return { key in register.index(of: key).flatMap { view.contains($0) ? $0 : nil } }
  }

  func accept(_ channel: any Channel) {
    guard !isStopping, connections.count < Limits.connectionsMax else {
      channel.close(promise: nil)
      return
    }
    // The last places are for members.
    let isCrowded = connections.count >= Limits.connectionsMax - Limits.membersMax
    let handshake = Handshake.responder(
      clusterID: cluster, boot: boot, listenAddress: address,
      welcome: Welcome(nodeName: name, origin: me, stamp: replica.clockStamp), nonce: nonce(),
      signatures: configuration.key, membership: membership(),
      admission: { hello in
        guard isCrowded, case .client = hello.sender else { return nil }
        return Refusal(.busy, "this node has all the clients that it can serve; try another one")
      })
    add(Connection(handshake: handshake, dialedAddress: nil, owner: self), to: channel)
  }

  private func add(_ connection: Connection, to channel: any Channel) {
    connections[ObjectIdentifier(connection)] = connection
    do {
      try channel.pipeline.syncOperations.addHandler(connection)
    } catch {
      connections[ObjectIdentifier(connection)] = nil
      channel.close(promise: nil)
    }
  }

  func dial(_ text: String) {
    guard !isStopping else { return }
    guard let target = Address(text) else {
      logger.error("'\(text)' is not an address of the form host:port")
      return
    }
    logger.debug("dialling", metadata: ["address": "\(text)"])
    Sockets.dial(target, group: group, timeoutMilliseconds: 2_000) { [self] channel in
      let handshake = Handshake.member(
        clusterID: cluster, boot: boot, listenAddress: address, nonce: nonce(), signatures: configuration.key,
        membership: membership())
      add(Connection(handshake: handshake, dialedAddress: text, owner: self), to: channel)
    }.whenFailure { [self] error in
      logger.debug("cannot reach a peer", metadata: ["address": "\(text)", "error": "\(error)"])
      input(.dialFailed(text))
    }
  }

  // MARK: ConnectionOwner

  public func connectionEstablished(_ connection: Connection, _ established: Handshake.Established) {
    switch established.peer {
    case .client(let account, let name): openSession(connection, account: account, name: name)
    case .member(_, let origin, let boot, _): linkEstablished(connection, to: origin, boot: boot)
    }
  }

  /// Two members may dial each other at once. Both keep the connection that the one with the smaller index dialled,
  /// unless the other side has been restarted since: then the newer one is the live one.
  private func linkEstablished(_ connection: Connection, to origin: OriginIndex, boot: UInt64) {
    if let old = links[origin.int] {
      let isPreferred = (connection.dialedAddress != nil) == (me < origin)
      guard isPreferred || old.tag != boot else {
        connection.close(reason: "a second connection to the same member")
        return
      }
      links[origin.int] = nil
      old.close(reason: "replaced by another connection")
      input(.linkDown(origin))
    }
    connection.tag = boot
    links[origin.int] = connection
    logger.info(
      "link up", metadata: ["member": "\(register[origin]?.name ?? "?")", "from": "\(connection.remoteAddress)"])
    input(.linkUp(origin, address: connection.dialedAddress ?? ""))
  }

  public func connection(_ connection: Connection, received frame: Frame) {
    guard !isStopping else { return }
    switch connection.established?.peer {
    case .client: receiveRequest(frame, on: connection)
    case .member(_, let origin, _, _):
      guard links[origin.int] === connection else { return }
      do throws(CodecError) {
        let message = try frame.decodePeerMessage()
        input(.message(from: origin, message))
      } catch {
        logger.warning("unreadable frame", metadata: ["member": "\(origin)", "error": "\(error)"])
        connection.abort(reason: "unreadable frame: \(error)")
      }
    case nil: break
    }
  }

  public func connectionReadComplete(_ connection: Connection) {}

  public func connection(_ connection: Connection, isWritable: Bool) {
    switch connection.established?.peer {
    case .member(_, let origin, _, _) where links[origin.int] === connection:
      input(.linkWritable(origin, isWritable))
    case .client:
      if let session = sessions[SessionID(connection.tag)], !isWritable { dropIfSlow(session) }
    case .member, nil: break
    }
  }

  public func connection(_ connection: Connection, failed error: FrameError) {
    if let session = sessions[SessionID(connection.tag)], session.connection === connection {
      session.drop("protocol error: \(error)")
    } else {
      connection.abort(reason: "protocol error: \(error)")
    }
  }

  public func connectionClosed(_ connection: Connection, reason: String) {
    connections[ObjectIdentifier(connection)] = nil
    logger.debug("connection closed", metadata: ["reason": "\(reason)"])
    switch connection.established?.peer {
    case .client: closeSession(connection)
    case .member(_, let origin, _, _):
      guard links[origin.int] === connection else { return }
      links[origin.int] = nil
      logger.info("link down", metadata: ["member": "\(register[origin]?.name ?? "?")", "reason": "\(reason)"])
      if !isStopping { input(.linkDown(origin)) }
    case nil:
      if connection.dialedAddress != nil {
        // A refusal that will not go away by itself is worth a warning; a refused dial goes on backing off.
        logger.warning(
          "no handshake", metadata: ["address": "\(connection.dialedAddress ?? "")", "reason": "\(reason)"])
      }
    }
    if let dialed = connection.dialedAddress, !isStopping { input(.dialFailed(dialed)) }
  }

  /// Half-open connections show by their silence.
  func closeSilentConnections() {
    let now = NIODeadline.now()
    for link in links {
      guard let link, now - link.lastRead > .milliseconds(Self.linkSilenceMilliseconds) else { continue }
      link.abort(reason: "nothing heard for \(Self.linkSilenceMilliseconds) ms")
    }
    guard now - lastClientSweep > .seconds(1) else { return }
    lastClientSweep = now
    for session in sessions.values
    where now - session.connection.lastRead > .milliseconds(Self.clientSilenceMilliseconds) {
      session.drop("nothing heard for \(Self.clientSilenceMilliseconds / 1000) s; send pings when idle")
    }
  }
}

extension Frame {
  func decodePeerMessage() throws(CodecError) -> PeerMessage {
    try body.withUnsafeReadableBytes { raw -> Result<PeerMessage, CodecError> in
      do throws(CodecError) {
        return .success(try PeerMessage(frameType: type, body: raw))
      } catch {
        return .failure(error)
      }
    }.get()
  }
}
