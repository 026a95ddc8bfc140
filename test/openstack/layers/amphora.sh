# The amphora image, uploaded to project "service" unless it has a tagged one.
# TESTBED_IMAGE names one that exists; otherwise "octavo image build" makes it.

layer_amphora() {
    [ -n "${TESTBED_IMAGE:-}" ] || pkgs squashfs-tools mtools syslinux e2fsprogs qemu-utils debian-archive-keyring
    say "amphora: packages ready"
    if $packages_only; then return 0; fi
    OS_CLIENT_CONFIG_FILE=$TESTBED_STATE/clouds.yaml; export OS_CLIENT_CONFIG_FILE
    if [ -z "$(openstack --os-cloud octavia image list --tag octavia-amphora --status active -f value -c ID)" ]; then
        img=${TESTBED_IMAGE:-$TESTBED_STATE/amphora.qcow2}
        [ -e "$img" ] || "$OCTAVO" image build --output "$img" --cache "$TESTBED_STATE/packages" >"$LOG/image-build.log" 2>&1 ||
            die "the image build failed (see $LOG/image-build.log)"
        openstack --os-cloud octavia image create --disk-format qcow2 --container-format bare \
            --tag octavia-amphora --property hw_rng_model=virtio --property hw_architecture=x86_64 \
            --file "$img" amphora-x64-haproxy -f value -c id >/dev/null || die "image upload failed"
    fi
    say "amphora: image with tag octavia-amphora is there"
}
