import COpenSSL

/// The digest, fetched once: `EVP_sha256()` would be fetched again at every initialisation, which costs two to three
/// times as much for a short input.
nonisolated(unsafe) private let sha256Digest: OpaquePointer = {
  guard let digest = EVP_MD_fetch(nil, "SHA256", nil) else { preconditionFailure("libcrypto offers no SHA-256") }
  return digest
}()

/// A reusable SHA-256 computation over OpenSSL's libcrypto.
///
/// One instance belongs to one thread at a time. `begin`, any number of `update`, `finish`; then again.
public final class SHA256 {
  private let context: OpaquePointer

  public init() {
    guard let context = EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  public func begin() {
    let done = EVP_DigestInit_ex2(context, sha256Digest, nil)
    precondition(done == 1, "SHA-256 could not start")
  }

  @inline(__always) public func update(_ bytes: UnsafeRawBufferPointer) {
    let done = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
    precondition(done == 1, "SHA-256 could not go on")
  }

  public func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }

  public func update(_ hash: Hash256) {
    var words = (hash.word0.bigEndian, hash.word1.bigEndian, hash.word2.bigEndian, hash.word3.bigEndian)
    withUnsafeBytes(of: &words) { update($0) }
  }

  public func finish() -> Hash256 {
    withUnsafeTemporaryAllocation(byteCount: Hash256.byteCount, alignment: 8) { out in
      let done = EVP_DigestFinal_ex(context, out.baseAddress!.assumingMemoryBound(to: UInt8.self), nil)
      precondition(done == 1, "SHA-256 could not finish")
      return Hash256(bytes: UnsafeRawBufferPointer(out))
    }
  }

  /// The value the bytes given so far have, without ending the computation.
  public func valueSoFar() -> Hash256 {
    let copy = SHA256()
    let done = EVP_MD_CTX_copy_ex(copy.context, context)
    precondition(done == 1, "SHA-256 could not be copied")
    return copy.finish()
  }

  /// One whole input.
  public func hash(_ bytes: UnsafeRawBufferPointer) -> Hash256 {
    begin()
    update(bytes)
    return finish()
  }

  /// One whole input.
  public func hash(_ bytes: [UInt8]) -> Hash256 { bytes.withUnsafeBytes { hash($0) } }
}
