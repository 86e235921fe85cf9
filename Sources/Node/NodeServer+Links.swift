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

  func accept(_ channel: any Channel) {
    guard !isStopping, connections.count < Limits.connectionsMax else {
      channel.close(promise: nil)
      return
    }
    // The last places are for members.
    let isCrowded = connections.count >= Limits.connectionsMax - Limits.membersMax
    let handshake = Handshake.responder(
      clusterID: cluster, boot: boot, listenAddress: address,
      welcome: Welcome(nodeName: name, origin: replica.member, stamp: replica.clockStamp), nonce: nonce(),
      // Whoever follows may; without certificates there is nobody to ask.
      signatures: configuration.key, admits: { _ in true },
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
        admits: { _ in true })
      add(Connection(handshake: handshake, dialedAddress: text, owner: self), to: channel)
    }.whenFailure { [self] error in
      logger.debug("cannot reach a peer", metadata: ["address": "\(text)", "error": "\(error)"])
      input(.dialFailed(text, isRefused: Sockets.isRefusal(error)))
    }
  }

  // MARK: ConnectionOwner

  public func connectionEstablished(_ connection: Connection, _ established: Handshake.Established) {
    switch established.peer {
    case .client(let account, let name): openSession(connection, account: account, name: name)
    case .member(let key, let boot, _):
      if cut(from: key) == .both {
        connection.abort(reason: Self.cutReason)
      } else {
        linkEstablished(connection, to: key, boot: boot)
      }
    }
  }

  /// Two nodes may dial each other at once. Both keep the connection that the one with the smaller id dialled, unless
  /// the other side has been restarted since: then the newer one is the live one.
  private func linkEstablished(_ connection: Connection, to key: PublicKey, boot: UInt64) {
    let known = links.firstIndex { $0?.established?.publicKey == key }
    if let place = known, let old = links[place] {
      let isPreferred = (connection.dialedAddress != nil) == (configuration.key.publicKey.nodeID < key.nodeID)
      guard isPreferred || old.tag != boot else {
        connection.close(reason: "a second connection to the same member")
        return
      }
      links[place] = nil
      old.close(reason: "replaced by another connection")
      input(.linkDown(PeerIndex(UInt32(place))))
    }
    let place = known ?? links.firstIndex { $0 == nil } ?? links.count
    if place == links.count { links.append(nil) }
    connection.tag = boot
    links[place] = connection
    let peer = PeerIndex(UInt32(place))
    input(.linkUp(peer, key: key, address: connection.dialedAddress ?? ""))
    logger.info("link up", metadata: ["node": "\(name(of: peer))", "from": "\(connection.remoteAddress)"])
  }

  /// The place of a connection among the links; nil if it is none, or not any more.
  private func peer(of connection: Connection) -> PeerIndex? {
    links.firstIndex { $0 === connection }.map { PeerIndex(UInt32($0)) }
  }

  func name(of peer: PeerIndex) -> String {
    replica.origin(of: peer).flatMap { replica.registered($0)?.name } ?? "a node that follows"
  }

  public func connection(_ connection: Connection, received frame: Frame) {
    guard !isStopping else { return }
    switch connection.established?.peer {
    case .client: receiveRequest(frame, on: connection)
    case .member:
      guard let peer = peer(of: connection), cut(from: connection.established?.publicKey) == nil else { return }
      do throws(CodecError) {
        let message = try frame.decodePeerMessage()
        input(.message(from: peer, message))
      } catch {
        logger.warning("unreadable frame", metadata: ["node": "\(name(of: peer))", "error": "\(error)"])
        connection.abort(reason: "unreadable frame: \(error)")
      }
    case nil: break
    }
  }

  public func connectionReadComplete(_ connection: Connection) {}

  public func connection(_ connection: Connection, isWritable: Bool) {
    switch connection.established?.peer {
    case .member:
      if let peer = peer(of: connection) { input(.linkWritable(peer, isWritable)) }
    case .client:
      if let session = sessions[SessionID(connection.tag)], !isWritable { dropIfSlow(session) }
    case nil: break
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
    case .member:
      guard let peer = peer(of: connection) else { return }
      logger.info("link down", metadata: ["node": "\(name(of: peer))", "reason": "\(reason)"])
      links[peer.int] = nil
      if !isStopping { input(.linkDown(peer)) }
    case nil:
      if connection.dialedAddress != nil {
        // A refusal that will not go away by itself is worth a warning; a refused dial goes on backing off.
        logger.warning(
          "no handshake", metadata: ["address": "\(connection.dialedAddress ?? "")", "reason": "\(reason)"])
      }
    }
    if let dialed = connection.dialedAddress, !isStopping { input(.dialFailed(dialed, isRefused: false)) }
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
