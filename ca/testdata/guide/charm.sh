# The commands of the charm's deployment guide. $subject is what it has there: in its older form it lacks a common name.
mkdir -p demoCA/newcerts
touch demoCA/index.txt
touch demoCA/index.txt.attr
openssl genrsa -passout pass:geheim -des3 -out issuing_ca_key.pem 2048
openssl req -x509 -passin pass:geheim -new -nodes -key issuing_ca_key.pem \
  -config /etc/ssl/openssl.cnf \
  -subj "$subject" \
  -days 30 \
  -out issuing_ca.pem
openssl genrsa -passout pass:geheim -des3 -out controller_ca_key.pem 2048
openssl req -x509 -passin pass:geheim -new -nodes \
  -key controller_ca_key.pem \
  -config /etc/ssl/openssl.cnf \
  -subj "$subject" \
  -days 30 \
  -out controller_ca.pem
openssl req \
  -newkey rsa:2048 -nodes -keyout controller_key.pem \
  -subj "$subject" \
  -out controller.csr
openssl ca -passin pass:geheim -config /etc/ssl/openssl.cnf \
  -cert controller_ca.pem -keyfile controller_ca_key.pem \
  -create_serial -batch \
  -in controller.csr -days 30 -out controller_cert.pem
cat controller_cert.pem controller_key.pem > controller_cert_bundle.pem
cp issuing_ca.pem "$out/issuing_ca.pem"
cp issuing_ca_key.pem "$out/issuing_key.pem"
cp controller_ca.pem "$out/controller_ca.pem"
cp controller_ca_key.pem "$out/controller_ca_key.pem"
cp controller_cert_bundle.pem "$out/controller.pem"
