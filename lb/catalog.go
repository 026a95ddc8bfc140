package lb

// Flavor is a choice of how load balancers are built that an operator offers by name.
type Flavor struct {
	ID              string `json:"id" attr:"r,kind=uuid" doc:"The ID of the flavor."`
	Name            string `json:"name" attr:"rw,required,max=255" doc:"The name of the flavor, which no other has."`
	Description     string `json:"description" attr:"rw,max=255,kind=text" doc:"A description for people."`
	Enabled         bool   `json:"enabled" attr:"rw,default=true" doc:"Whether new load balancers can have the flavor."`
	FlavorProfileID string `json:"flavor_profile_id" attr:"c,required,kind=uuid,ref=flavor_profile" doc:"The profile that says what the flavor means."`
}

// FlavorProfile says to a provider what a flavor means.
type FlavorProfile struct {
	ID           string `json:"id" attr:"r,kind=uuid" doc:"The ID of the profile."`
	Name         string `json:"name" attr:"rw,required,max=255" doc:"A name for people; need not be unique."`
	ProviderName string `json:"provider_name" attr:"rw,required,max=255" doc:"The provider that the profile is for."`
	FlavorData   string `json:"flavor_data" attr:"rw,required,max=4096,kind=text" doc:"The provider's settings, a JSON object in a string."`
}

// AvailabilityZone is a choice of where load balancers are built that an operator offers by name.
type AvailabilityZone struct {
	Name                      string `json:"name" attr:"c,required,max=255" doc:"The name of the zone, which no other has."`
	Description               string `json:"description" attr:"rw,max=255,kind=text" doc:"A description for people."`
	Enabled                   bool   `json:"enabled" attr:"rw,default=true" doc:"Whether new load balancers can be in the zone."`
	AvailabilityZoneProfileID string `json:"availability_zone_profile_id" attr:"c,required,kind=uuid,ref=availability_zone_profile" doc:"The profile that says what the zone means."`
}

// AvailabilityZoneProfile says to a provider what an availability zone means.
type AvailabilityZoneProfile struct {
	ID                   string `json:"id" attr:"r,kind=uuid" doc:"The ID of the profile."`
	Name                 string `json:"name" attr:"rw,required,max=255" doc:"A name for people; need not be unique."`
	ProviderName         string `json:"provider_name" attr:"rw,required,max=255" doc:"The provider that the profile is for."`
	AvailabilityZoneData string `json:"availability_zone_data" attr:"rw,required,max=4096,kind=text" doc:"The provider's settings, a JSON object in a string."`
}
