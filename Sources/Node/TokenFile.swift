import Foundation
import Membership
import Primitives
import Storage

/// The token of a store that is not there yet: a file of 16 hexadecimal digits, which the member list names. It is used
/// once. A store that was lost is made anew with another token, and its node is not the same member any more.
public enum TokenFile {
  public static let name = "token"

  private static func path(_ directory: String) -> String { directory + "/" + name }

  /// Reads the token that the next store in a directory will have; draws one if there is none.
  /// - Throws: if there is a store already.
  public static func loadOrCreate(_ directory: String) throws(StartError) -> StoreToken {
    guard !FileManager.default.fileExists(atPath: directory + "/" + Store.fileName) else {
      throw StartError(
        "\(directory) has a store already: the member list must have been written before its first start")
    }
    if let token = try load(directory) { return token }
    var generator = SystemRandomNumberGenerator()
    let token = StoreToken(UInt64.random(in: 1 ... .max, using: &generator))
    try? FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o600]
    let text = Data((token.digits + "\n").utf8)
    guard FileManager.default.createFile(atPath: path(directory), contents: text, attributes: attributes) else {
      throw StartError("\(path(directory)) cannot be written; choose another directory")
    }
    return token
  }

  static func load(_ directory: String) throws(StartError) -> StoreToken? {
    guard let data = FileManager.default.contents(atPath: path(directory)) else { return nil }
    let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    guard let token = StoreToken(digits: text) else {
      throw StartError(
        "\(path(directory)) is damaged: it must hold 16 hexadecimal digits. Remove it to join as a new member")
    }
    return token
  }

  static func remove(_ directory: String) { try? FileManager.default.removeItem(atPath: path(directory)) }
}
