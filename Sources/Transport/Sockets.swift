import Foundation
import NIOCore
import NIOPosix
import Primitives
import Wire

/// Opens sockets the way Rialto wants them: no Nagle, large fixed reads, a bounded queue of unsent bytes.
public enum Sockets {
  static let receiveBytes = 256 * 1024

  /// Listens; `port` 0 lets the system pick.
  /// - Parameter accept: called on the accepted channel's event loop.
  public static func listen(
    on address: Address, group: any EventLoopGroup, _ accept: @escaping @Sendable (any Channel) throws -> Void
  ) -> EventLoopFuture<any Channel> {
    ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 256)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: receiveBytes))
      .childChannelOption(.allowRemoteHalfClosure, value: false)
      .childChannelOption(
        .writeBufferWaterMark,
        value: .init(low: Limits.peerQueueBytesMax / 4, high: Limits.peerQueueBytesMax)
      )
      .childChannelInitializer { channel in channel.eventLoop.makeCompletedFuture { try accept(channel) } }
      .bind(host: address.host, port: Int(address.port))
  }

  /// Whether a dial failed because nobody listens there; not because no answer came.
  public static func isRefusal(_ error: any Error) -> Bool {
    if let error = error as? NIOConnectionError {
      return !error.connectionErrors.isEmpty && error.connectionErrors.allSatisfy { isRefusal($0.error) }
    }
    return (error as? IOError)?.errnoCode == ECONNREFUSED
  }

  public static func dial(
    _ address: Address, group: any EventLoopGroup, timeoutMilliseconds: Int64,
    _ initialize: @escaping @Sendable (any Channel) throws -> Void
  ) -> EventLoopFuture<any Channel> {
    ClientBootstrap(group: group)
      .connectTimeout(.milliseconds(timeoutMilliseconds))
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: receiveBytes))
      .channelOption(
        .writeBufferWaterMark,
        value: .init(low: Limits.peerQueueBytesMax / 4, high: Limits.peerQueueBytesMax)
      )
      .channelInitializer { channel in channel.eventLoop.makeCompletedFuture { try initialize(channel) } }
      .connect(host: address.host, port: Int(address.port))
  }
}
