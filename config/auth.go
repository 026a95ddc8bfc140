package config

import (
	"time"

	"github.com/octavo-lb/octavo/secrets"
)

// Auth is how the service proves who it is to the other services: keystoneauth's options of a session and of the plugins
// password and v3applicationcredential.
type Auth struct {
	AuthType          string         `key:"auth_type" default:"password" choices:"password|v3password|v3applicationcredential" doc:"What the service authenticates with."`
	AuthSection       string         `key:"auth_section" doc:"Section to take these options from where this one has none."`
	AuthURL           string         `key:"auth_url" doc:"Address of the identity service."`
	Username          string         `key:"username" old:"user_name" doc:"Name of the service's user."`
	UserID            string         `key:"user_id" doc:"Id of the service's user."`
	Password          secrets.Secret `key:"password" doc:"Password of the service's user."`
	UserDomainName    string         `key:"user_domain_name" doc:"Name of the user's domain."`
	UserDomainID      string         `key:"user_domain_id" doc:"Id of the user's domain."`
	ProjectName       string         `key:"project_name" old:"tenant_name" doc:"Name of the service's project."`
	ProjectID         string         `key:"project_id" old:"tenant_id" doc:"Id of the service's project."`
	ProjectDomainName string         `key:"project_domain_name" doc:"Name of the project's domain."`
	ProjectDomainID   string         `key:"project_domain_id" doc:"Id of the project's domain."`
	DefaultDomainName string         `key:"default_domain_name" doc:"Name of the domain of user and project where they have none of their own."`
	DefaultDomainID   string         `key:"default_domain_id" doc:"Id of the domain of user and project where they have none of their own."`
	SystemScope       string         `key:"system_scope" doc:"all for a token for the whole system."`
	CredentialID      string         `key:"application_credential_id" doc:"Id of an application credential."`
	CredentialName    string         `key:"application_credential_name" doc:"Name of an application credential of the user."`
	CredentialSecret  secrets.Secret `key:"application_credential_secret" doc:"Secret of the application credential."`
	CAFile            string         `key:"cafile" doc:"CA certificates in PEM to check servers with; the system's when empty."`
	CertFile          string         `key:"certfile" doc:"Client certificate in PEM."`
	KeyFile           string         `key:"keyfile" doc:"Key of certfile in PEM."`
	Insecure          bool           `key:"insecure" default:"false" doc:"Do not check servers' certificates."`
	Timeout           time.Duration  `key:"timeout" default:"0" min:"0" doc:"Seconds that a request may take; 0 for the service's own choice."`
}

// Endpoint is where a service is found: keystoneauth's options of an adapter.
type Endpoint struct {
	RegionName       string   `key:"region_name" doc:"Region of the endpoint."`
	ValidInterfaces  []string `key:"valid_interfaces" choices:"public|internal|admin|publicURL|internalURL|adminURL" doc:"Interfaces in the catalog, best first."`
	EndpointOverride string   `key:"endpoint_override" old:"endpoint" doc:"Address to use in place of the catalog's."`
	ServiceType      string   `key:"service_type" doc:"Type of the service in the catalog."`
	ServiceName      string   `key:"service_name" doc:"Name of the service in the catalog."`
}

// ServiceAuth is [service_auth]: the account that the service acts with.
type ServiceAuth struct {
	Auth
	Endpoint
}

// Neutron is [neutron]. What it does not set of Auth is taken from [service_auth].
type Neutron struct {
	Auth
	Endpoint
	EndpointType string `key:"endpoint_type" choices:"publicURL|internalURL|adminURL|public|internal|admin" doc:"Older form of valid_interfaces."`
	CACertFile   string `key:"ca_certificates_file" doc:"Older form of cafile."`
}

// KeystoneToken is [keystone_authtoken]: how callers' tokens are validated, and with which account.
type KeystoneToken struct {
	Auth
	PublicURI  string        `key:"www_authenticate_uri" old:"auth_uri" doc:"Address of the identity service that callers without a token are told."`
	RegionName string        `key:"region_name" doc:"Region of the identity service."`
	Interface  string        `key:"interface" default:"internal" doc:"Interface of the identity service in the catalog."`
	CacheTime  time.Duration `key:"token_cache_time" default:"300" doc:"Seconds that a valid token is remembered: for so long at most a revoked one still works."`
}

// ServiceEndpoint is where one of the services is found that [service_auth] is used for.
type ServiceEndpoint struct {
	ServiceName  string `key:"service_name" doc:"Name of the service in the catalog."`
	Endpoint     string `key:"endpoint" doc:"Address to use in place of the catalog's."`
	RegionName   string `key:"region_name" doc:"Region of the endpoint."`
	EndpointType string `key:"endpoint_type" default:"publicURL" choices:"publicURL|internalURL|adminURL|public|internal|admin" doc:"Interface in the catalog."`
	CAFile       string `key:"ca_certificates_file" doc:"CA certificates in PEM to check the service with."`
	Insecure     bool   `key:"insecure" default:"false" doc:"Do not check the service's certificate."`
}

// Nova is [nova].
type Nova struct {
	ServiceEndpoint
	AntiAffinity     bool   `key:"enable_anti_affinity" default:"false" doc:"Keep the amphorae of one load balancer on different hosts."`
	AntiAffinityRule string `key:"anti_affinity_policy" default:"anti-affinity" choices:"anti-affinity|soft-anti-affinity|auto" doc:"Policy of the server groups."`
	RandomNameLength int    `key:"random_amphora_name_length" default:"0" min:"0" max:"255" doc:"Length of random names of amphorae; 0 for amphora-ID."`
	AvailabilityZone string `key:"availability_zone" doc:"Availability zone of amphorae."`
}

// Cinder is [cinder].
type Cinder struct {
	ServiceEndpoint
	AvailabilityZone string        `key:"availability_zone" doc:"Availability zone of volumes."`
	VolumeSize       int           `key:"volume_size" default:"16" min:"1" doc:"Gigabytes of an amphora's volume."`
	VolumeType       string        `key:"volume_type" doc:"Type of amphorae's volumes."`
	CreateTimeout    time.Duration `key:"volume_create_timeout" default:"300" min:"1" doc:"Seconds that making a volume may take."`
}

// Glance is [glance].
type Glance struct {
	ServiceEndpoint
}
