import Gossip
import Membership
import Primitives
import Replica

/// Connections between processes, and what happens to messages on their way.
extension Simulation {
  func latency() -> UInt64 {
    let base = profile.latencyMin + generator.below(profile.latencyMax - profile.latencyMin + 1)
    return profile.tailPerMille > 0 && generator.chance(profile.tailPerMille, of: 1_000) ? base * 10 : base
  }

  // MARK: Dialling

  func dial(_ address: String, _ node: SimulatedNode, _ process: SimulatedProcess) {
    guard let (target, boot) = SimulatedNode.parse(address), target < nodes.count, target != node.index else { return }
    let other = nodes[target]
    let isHeard = network.hears(from: node.index, to: target) && network.hears(from: target, to: node.index)
    // Boot 0 stands for the address that everybody is told at the start: it leads to whoever runs there now.
    let isThere = other.process != nil && (boot == 0 || other.process?.boot == boot)
    if isHeard, isThere, other.pauses == 0 {
      schedule(
        .dialled(node: node.index, boot: process.boot, target: target, address: address), after: latency() * 3)
    } else {
      let wait = isHeard && other.pauses == 0 ? latency() * 2 : Self.dialTimeoutMicroseconds
      let isRefused = isHeard && other.pauses == 0
      schedule(.dialFailed(node: node.index, boot: process.boot, address: address, isRefused: isRefused), after: wait)
    }
  }

  func dialled(_ index: Int, _ boot: UInt64, _ target: Int, _ address: String) {
    let node = nodes[index]
    let other = nodes[target]
    guard let process = node.process, process.boot == boot else { return }
    guard let peer = other.process, other.pauses == 0, node.pauses == 0, network.hears(from: index, to: target),
      network.hears(from: target, to: index)
    else {
      schedule(
        .dialFailed(node: index, boot: boot, address: address, isRefused: false), after: Self.dialTimeoutMicroseconds)
      return
    }
    // Both dialled at once: the connection of the smaller index stays, as long as both ends are open.
    if let old = process.links[target], old === peer.links[index], index > target || old.dialler.node == index {
      schedule(.dialFailed(node: index, boot: boot, address: address, isRefused: false), after: 0)
      return
    }
    let connection = network.connect(dialler: index, listener: target)
    for (end, here, far, dialledAddress) in [(other, peer, index, ""), (node, process, target, address)] {
      if let old = here.links[far] {
        old[end.index].isOpen = false
        here.replica.step(.linkDown(PeerIndex(UInt32(far))), now: end.clock.read(now), &here.effects)
      }
      here.links[far] = connection
      here.lastHeard[far] = now
      end.timeline.note(.linkUp(far), at: now)
      give(
        .linkUp(PeerIndex(UInt32(far)), key: keys[far].publicKey, address: dialledAddress), to: end, here)
    }
  }

  // MARK: Closing

  /// One end closes; the other one hears of it if it can.
  func close(_ connection: SimulatedConnection, at index: Int, _ reason: String) {
    guard connection[index].isOpen else { return }
    connection[index].isOpen = false
    connection[index].stalled = []
    let peer = connection.peer(of: index)
    if connection[peer].isOpen, network.hears(from: index, to: peer) {
      schedule(.closed(connection: connection.number, node: peer), after: latency())
    }
    let node = nodes[index]
    guard let process = node.process, process.links[peer] === connection else { return }
    process.links[peer] = nil
    node.timeline.note(.linkDown(peer, reason), at: now)
    give(.linkDown(PeerIndex(UInt32(peer))), to: node, process)
  }

  func closeSilent(_ node: SimulatedNode, _ process: SimulatedProcess) {
    for peer in process.links.indices {
      guard let connection = process.links[peer], now > process.lastHeard[peer] + Self.linkSilenceMicroseconds else {
        continue
      }
      close(connection, at: node.index, "nothing heard for 2 s")
    }
  }

  // MARK: Messages

  func send(_ message: PeerMessage, to peer: Int, _ node: SimulatedNode, _ process: SimulatedProcess) {
    guard let connection = process.links[peer] else { return }
    let bytes: [UInt8]
    if case .batch(let sealed) = message {
      if let last = process.lastBatch, last.signature == sealed.signature {
        bytes = last.bytes
      } else {
        bytes = message.body
        process.lastBatch = (sealed.signature, bytes)
      }
    } else {
      bytes = message.body
    }
    let type = message.frameType
    node.timeline.note(.sent(to: peer, type: type, bytes: bytes.count), at: now)
    transmit(type, bytes, on: connection, from: node.index, to: peer)
  }

  private func transmit(
    _ type: UInt8, _ bytes: [UInt8], on connection: SimulatedConnection, from: Int, to: Int
  ) {
    var delay = latency()
    let isCut = !network.hears(from: from, to: to)
    switch profile.transport {
    case .stream:
      // Nothing overtakes what waits to be sent again.
      if isCut || !connection[to].stalled.isEmpty {
        connection[to].stalled.append(.init(type: type, bytes: bytes))
        return
      }
      while profile.lossPerMille > 0, generator.chance(profile.lossPerMille, of: 1_000) {
        delay += Self.retransmissionMicroseconds
      }
      let at = max(now + delay, connection[to].lastArrival)
      connection[to].lastArrival = at
      queue.schedule(
        .delivery(connection: connection.number, from: from, to: to, type: type, bytes: bytes), at: at)
    case .datagram:
      guard !isCut, profile.lossPerMille == 0 || !generator.chance(profile.lossPerMille, of: 1_000) else { return }
      schedule(.delivery(connection: connection.number, from: from, to: to, type: type, bytes: bytes), after: delay)
      if profile.duplicatePerMille > 0, generator.chance(profile.duplicatePerMille, of: 1_000) {
        schedule(
          .delivery(connection: connection.number, from: from, to: to, type: type, bytes: bytes), after: latency() * 2)
      }
    }
  }

  func deliver(connection number: Int, from: Int, to: Int, _ type: UInt8, _ bytes: [UInt8]) {
    let connection = network.connections[number]
    guard connection[to].isOpen, let boot = nodes[to].process?.boot else { return }
    let event = WorldEvent.delivery(connection: number, from: from, to: to, type: type, bytes: bytes)
    whenFree(event, to, boot) { node, process in
      guard process.links[from] === connection else { return }
      process.lastHeard[from] = now
      node.timeline.note(.received(from: from, type: type, bytes: bytes.count), at: now)
      do throws(CodecError) {
        let message = try PeerMessage(frameType: type, bytes: bytes)
        give(.message(from: PeerIndex(UInt32(from)), message), to: node, process)
      } catch {
        fail("codec", "a message that was sent cannot be read: \(error)", node: to)
      }
    }
  }

  /// A path is whole again: what streams kept goes on.
  func releaseStalled() {
    for connection in network.connections {
      for (from, to) in [
        (connection.dialler.node, connection.listener.node), (connection.listener.node, connection.dialler.node),
      ] where !connection[to].stalled.isEmpty && network.hears(from: from, to: to) {
        let waiting = connection[to].stalled
        connection[to].stalled = []
        for message in waiting { transmit(message.type, message.bytes, on: connection, from: from, to: to) }
      }
    }
  }
}

extension PeerMessage {
  fileprivate init(frameType: UInt8, bytes: [UInt8]) throws(CodecError) {
    self = try bytes.withUnsafeBytes { raw -> Result<PeerMessage, CodecError> in
      do throws(CodecError) {
        return .success(try PeerMessage(frameType: frameType, body: raw))
      } catch {
        return .failure(error)
      }
    }.get()
  }
}
