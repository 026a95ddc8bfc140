# The commands of Octavia's guide to certificates (doc/source/admin/guides/certificates.rst), as they are printed there. What
# openssl asks a person for is answered by this function.
openssl() {
  case $1 in
    genpkey) command openssl "$@" -pass pass:geheim ;;
    req) command openssl "$@" -passin pass:geheim -subj "/C=US/ST=Oregon/O=OpenStack/OU=Octavia/CN=$cn" ;;
    ca) command openssl "$@" -passin pass:geheim -batch ;;
    rsa) command openssl "$@" -passin pass:geheim ;;
  esac
}
mkdir certs
chmod 700 certs
cd certs
cp "$guide/openssl.cnf" openssl.cnf
mkdir client_ca
mkdir server_ca
cd server_ca
mkdir certs crl newcerts private
chmod 700 private
touch index.txt
echo 1000 > serial
openssl genpkey -algorithm RSA -out private/ca.key.pem -aes-128-cbc -pkeyopt rsa_keygen_bits:4096
chmod 400 private/ca.key.pem
cn='server CA'
openssl req -config ../openssl.cnf -key private/ca.key.pem -new -x509 -days 7300 -sha256 -extensions v3_ca -out certs/ca.cert.pem
cd ../client_ca
mkdir certs crl csr newcerts private
chmod 700 private
touch index.txt
echo 1000 > serial
openssl genpkey -algorithm RSA -out private/ca.key.pem -aes-128-cbc -pkeyopt rsa_keygen_bits:4096
chmod 400 private/ca.key.pem
cn='client CA'
openssl req -config ../openssl.cnf -key private/ca.key.pem -new -x509 -days 7300 -sha256 -extensions v3_ca -out certs/ca.cert.pem
openssl genpkey -algorithm RSA -out private/client.key.pem -aes-128-cbc -pkeyopt rsa_keygen_bits:2048
cn='controller'
openssl req -config ../openssl.cnf -new -sha256 -key private/client.key.pem -out csr/client.csr.pem
openssl ca -config ../openssl.cnf -extensions usr_cert -days 7300 -notext -md sha256 -in csr/client.csr.pem -out certs/client.cert.pem
openssl rsa -in private/client.key.pem -out private/client.cert-and-key.pem
cat certs/client.cert.pem >> private/client.cert-and-key.pem
cd ..
cp server_ca/certs/ca.cert.pem "$out/issuing_ca.pem"
cp server_ca/private/ca.key.pem "$out/issuing_key.pem"
cp client_ca/certs/ca.cert.pem "$out/controller_ca.pem"
cp client_ca/private/client.cert-and-key.pem "$out/controller.pem"
