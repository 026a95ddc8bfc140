package certs

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"errors"
	"hash"

	"golang.org/x/crypto/scrypt"
)

// Decryption with a key that is derived from a password: PKCS #5 (RFC 8018) and the older way of PKCS #12 (RFC 7292,
// appendix B).

var (
	errWrongPassphrase = errors.New("the passphrase is wrong, or what it protects is damaged")
	errTooLong         = errors.New("to decrypt it would take longer than any honest file does")
	errUnsupported     = errors.New("it is encrypted in a way that is not supported")
)

// budget is how many iterations of key derivation one file may cost: OpenSSL uses 2048 for each of two, Java 10,000; all
// of these take about a second.
type budget struct{ left int }

func newBudget() *budget { return &budget{left: 3_000_000} }

func (b *budget) take(iterations int) error {
	if iterations < 1 || iterations > b.left {
		return errTooLong
	}
	b.left -= iterations
	return nil
}

// password is one in the two forms that the two ways need: UTF-8, and UTF-16 with a zero at the end.
type password struct {
	utf8 []byte
	bmp  []byte
}

func passphrase(text []byte) password {
	var bmp []byte
	for _, r := range string(text) {
		bmp = append(bmp, byte(r>>8), byte(r))
	}
	return password{utf8: text, bmp: append(bmp, 0, 0)}
}

type algorithm struct {
	ID         asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

type encryptedKey struct {
	Algorithm algorithm
	Content   []byte
}

// decryptPKCS8 opens an encrypted private key in DER and answers the key in PKCS #8.
func decryptPKCS8(der, text []byte, b *budget) ([]byte, error) {
	return openPKCS8(der, passphrase(text), b)
}

func openPKCS8(der []byte, p password, b *budget) ([]byte, error) {
	var sealed encryptedKey
	if _, err := asn1.Unmarshal(der, &sealed); err != nil {
		return nil, errors.New("the encrypted private key is damaged")
	}
	return sealed.Algorithm.decrypt(sealed.Content, p, b)
}

var (
	oidPBES2       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt      = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
	oidSHA13DES    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}
	oidSHA1RC2x128 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 5}
	oidSHA1RC2x40  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 6}
)

func (a algorithm) decrypt(sealed []byte, p password, b *budget) ([]byte, error) {
	if a.ID.Equal(oidPBES2) {
		return a.decryptPBES2(sealed, p, b)
	}
	size := 0
	var newCipher func([]byte) (cipher.Block, error)
	switch {
	case a.ID.Equal(oidSHA13DES):
		size, newCipher = 24, des.NewTripleDESCipher
	case a.ID.Equal(oidSHA1RC2x128):
		size, newCipher = 16, newRC2
	case a.ID.Equal(oidSHA1RC2x40):
		size, newCipher = 5, newRC2
	default:
		return nil, errUnsupported
	}
	var parameters struct {
		Salt       []byte
		Iterations int
	}
	if _, err := asn1.Unmarshal(a.Parameters.FullBytes, &parameters); err != nil {
		return nil, errUnsupported
	}
	if err := b.take(2 * parameters.Iterations); err != nil {
		return nil, err
	}
	block, err := newCipher(pkcs12Key(1, p.bmp, parameters.Salt, parameters.Iterations, size))
	if err != nil {
		return nil, errUnsupported
	}
	return decryptCBC(block, pkcs12Key(2, p.bmp, parameters.Salt, parameters.Iterations, block.BlockSize()), sealed)
}

// pkcs12Key derives a key (purpose 1) or an initialisation vector (2) with SHA-1, as RFC 7292, appendix B.2, says.
func pkcs12Key(purpose byte, password, salt []byte, iterations, size int) (key []byte) {
	const block = 64
	diversifier := bytes.Repeat([]byte{purpose}, block)
	input := append(fillBlocks(salt, block), fillBlocks(password, block)...)
	for len(key) < size {
		sum := sha1.Sum(append(bytes.Clone(diversifier), input...))
		for range iterations - 1 {
			sum = sha1.Sum(sum[:])
		}
		key = append(key, sum[:]...)
		addOnePlus(input, fillBlocks(sum[:], block)[:block], block)
	}
	return key[:size]
}

// fillBlocks repeats b up to a whole number of blocks.
func fillBlocks(b []byte, block int) (filled []byte) {
	if len(b) == 0 {
		return nil
	}
	for size := (len(b) + block - 1) / block * block; len(filled) < size; {
		filled = append(filled, b[:min(len(b), size-len(filled))]...)
	}
	return filled
}

// addOnePlus adds b+1 to each block of input, taken as a number.
func addOnePlus(input, b []byte, block int) {
	for start := 0; start < len(input); start += block {
		carry := 1
		for i := block - 1; i >= 0; i-- {
			carry += int(input[start+i]) + int(b[i])
			input[start+i] = byte(carry)
			carry >>= 8
		}
	}
}

type pbkdf2Parameters struct {
	Salt       []byte
	Iterations int
	KeyLength  int       `asn1:"optional"`
	PRF        algorithm `asn1:"optional"`
}

func (a algorithm) decryptPBES2(sealed []byte, p password, b *budget) ([]byte, error) {
	var scheme struct{ Derivation, Encryption algorithm }
	if _, err := asn1.Unmarshal(a.Parameters.FullBytes, &scheme); err != nil {
		return nil, errUnsupported
	}
	newCipher := blockCipher(scheme.Encryption.ID)
	var vector []byte
	if _, err := asn1.Unmarshal(scheme.Encryption.Parameters.FullBytes, &vector); err != nil || newCipher == nil {
		return nil, errUnsupported
	}
	key, err := scheme.Derivation.derive(p, keySize(scheme.Encryption.ID), b)
	if err != nil {
		return nil, err
	}
	block, err := newCipher(key)
	if err != nil {
		return nil, errUnsupported
	}
	return decryptCBC(block, vector, sealed)
}

// derive makes the key of a password: PBKDF2 (RFC 8018) or scrypt (RFC 7914, section 7).
func (a algorithm) derive(p password, size int, b *budget) ([]byte, error) {
	switch {
	case a.ID.Equal(oidPBKDF2):
		var d pbkdf2Parameters
		if _, err := asn1.Unmarshal(a.Parameters.FullBytes, &d); err != nil {
			return nil, errUnsupported
		}
		sum := prf(d.PRF.ID)
		if sum == nil {
			return nil, errUnsupported
		}
		if err := b.take(d.Iterations); err != nil {
			return nil, err
		}
		return pbkdf2.Key(sum, string(p.utf8), d.Salt, d.Iterations, size)
	case a.ID.Equal(oidScrypt):
		var d scryptParameters
		if _, err := asn1.Unmarshal(a.Parameters.FullBytes, &d); err != nil {
			return nil, errUnsupported
		}
		if err := d.affordable(b); err != nil {
			return nil, err
		}
		key, err := scrypt.Key(p.utf8, d.Salt, d.Cost, d.BlockSize, d.Parallel, size)
		if err != nil {
			return nil, errUnsupported
		}
		return key, nil
	}
	return nil, errUnsupported
}

type scryptParameters struct {
	Salt      []byte
	Cost      int // N
	BlockSize int // r
	Parallel  int // p
	KeyLength int `asn1:"optional"`
}

// affordable bounds what scrypt takes: 128*N*r bytes of memory, of which OpenSSL asks 16 MiB, and time in proportion to
// N*r*p.
func (d *scryptParameters) affordable(b *budget) error {
	const most = 1 << 19 // 64 MiB
	for _, n := range []int{d.Cost, d.BlockSize, d.Parallel} {
		if n < 1 || n > most {
			return errTooLong
		}
	}
	if d.Cost*d.BlockSize > most {
		return errTooLong
	}
	return b.take(d.Cost * d.BlockSize * d.Parallel)
}

// prf: RFC 8018, appendix B.1; SHA-1 when none is named.
func prf(id asn1.ObjectIdentifier) func() hash.Hash {
	switch id.String() {
	case "", "1.2.840.113549.2.7":
		return sha1.New
	case "1.2.840.113549.2.8":
		return sha256.New224
	case "1.2.840.113549.2.9":
		return sha256.New
	case "1.2.840.113549.2.10":
		return sha512.New384
	case "1.2.840.113549.2.11":
		return sha512.New
	}
	return nil
}

const (
	des3CBC   = "1.2.840.113549.3.7"
	aes128CBC = "2.16.840.1.101.3.4.1.2"
	aes192CBC = "2.16.840.1.101.3.4.1.22"
	aes256CBC = "2.16.840.1.101.3.4.1.42"
)

func blockCipher(id asn1.ObjectIdentifier) func([]byte) (cipher.Block, error) {
	switch id.String() {
	case des3CBC:
		return des.NewTripleDESCipher
	case aes128CBC, aes192CBC, aes256CBC:
		return aes.NewCipher
	}
	return nil
}

func keySize(id asn1.ObjectIdentifier) int {
	return map[string]int{des3CBC: 24, aes128CBC: 16, aes192CBC: 24, aes256CBC: 32}[id.String()]
}

func decryptCBC(block cipher.Block, vector, sealed []byte) ([]byte, error) {
	size := block.BlockSize()
	if len(vector) != size || len(sealed) == 0 || len(sealed)%size != 0 {
		return nil, errWrongPassphrase
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, vector).CryptBlocks(plain, sealed)
	padding := int(plain[len(plain)-1])
	if padding < 1 || padding > size || !bytes.Equal(plain[len(plain)-padding:], bytes.Repeat([]byte{byte(padding)}, padding)) {
		return nil, errWrongPassphrase
	}
	return plain[:len(plain)-padding], nil
}
