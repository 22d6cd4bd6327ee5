// Tokens as Amplify's token stores take them.

import { decodeJWT } from 'aws-amplify/auth';

export const tokensOf = ({ accessToken, idToken, refreshToken, signInDetails, ...rest }) => ({
	...rest, // username, clockDrift
	accessToken: decodeJWT(accessToken),
	idToken: idToken ? decodeJWT(idToken) : undefined,
	refreshToken: refreshToken ?? undefined,
	signInDetails: signInDetails ?? undefined,
});
