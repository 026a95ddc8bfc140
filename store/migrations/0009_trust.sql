-- What an agent trusts, as it says itself, and the CA that signed the certificate it was given last.
ALTER TABLE amphora ADD COLUMN trust ${str} DEFAULT '' NOT NULL;
ALTER TABLE amphora ADD COLUMN cert_issuer ${str} DEFAULT '' NOT NULL;
