import EventLog
import Foundation
import Membership
import Primitives

/// Why a node cannot start; the text says what to do.
public struct StartError: Error, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// A node's secret key: a file of 64 hexadecimal digits that only its owner may read.
public enum KeyFile {
  /// Reads the key at `path`; makes one there if there is no file.
  public static func loadOrCreate(_ path: String) throws(StartError) -> Ed25519 {
    if FileManager.default.fileExists(atPath: path) { return try load(path) }
    var generator = SystemRandomNumberGenerator()
    let seed = (0..<Ed25519.seedByteCount).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    let directory = (path as NSString).deletingLastPathComponent
    if !directory.isEmpty {
      try? FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }
    let attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o600]
    guard
      FileManager.default.createFile(atPath: path, contents: Data((seed.hex + "\n").utf8), attributes: attributes),
      let key = Ed25519(seed: seed)
    else { throw StartError("the key file \(path) cannot be written; choose another place with --key") }
    return key
  }

  public static func load(_ path: String) throws(StartError) -> Ed25519 {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw StartError("the key file \(path) cannot be read")
    }
    let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    guard let seed = [UInt8](hex: text), let key = Ed25519(seed: seed) else {
      throw StartError(
        "the key file \(path) is damaged: it must hold 64 hexadecimal digits. Restore it from a backup; a new key "
          + "makes another node")
    }
    return key
  }
}

extension StoreToken {
  /// 16 hexadecimal digits.
  public var digits: String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
  }

  /// - Returns: nil unless there are 16 hexadecimal digits, not all 0.
  public init?(digits: String) {
    guard digits.utf8.count == 16, let value = UInt64(digits, radix: 16), value != 0 else { return nil }
    self.init(value)
  }
}

/// The member list of view 0 as a file: `{"members":[{"name":"n1","public_key":"…64 digits…","token":"…16…"}]}`.
public enum GenesisFile {
  private struct File: Codable {
    struct Member: Codable {
      var name: String
      var publicKey: String
      var token: String
      enum CodingKeys: String, CodingKey {
        case name, token
        case publicKey = "public_key"
      }
    }
    var members: [Member]
  }

  public static func load(_ path: String) throws(StartError) -> Genesis {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw StartError("the member list \(path) cannot be read; give one with --genesis")
    }
    let file: File
    do {
      file = try JSONDecoder().decode(File.self, from: data)
    } catch {
      throw StartError(
        "the member list \(path) is not of the form "
          + "{\"members\":[{\"name\":…,\"public_key\":…,\"token\":…}]}; write one with `rialto genesis`")
    }
    var members: [Genesis.Member] = []
    for member in file.members {
      guard let key = PublicKey(hex: member.publicKey) else {
        throw StartError("the member list \(path): public_key of '\(member.name)' must be 64 hexadecimal digits")
      }
      guard let token = StoreToken(digits: member.token) else {
        throw StartError("the member list \(path): token of '\(member.name)' must be 16 hexadecimal digits")
      }
      members.append(Genesis.Member(publicKey: key, name: member.name, token: token))
    }
    do throws(GenesisError) {
      return try Genesis(members: members)
    } catch {
      throw StartError("\(path): \(error)")
    }
  }

  public static func write(_ genesis: Genesis, to path: String) throws(StartError) {
    let file = File(
      members: genesis.members.map {
        .init(name: $0.name, publicKey: $0.publicKey.description, token: $0.token.digits)
      })
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    do {
      try encoder.encode(file).write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw StartError("the member list \(path) cannot be written: \(error.localizedDescription)")
    }
  }
}
